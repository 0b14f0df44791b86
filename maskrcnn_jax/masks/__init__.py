"""Binary masks of whole images on the host: pasted from small ones, and run-length coded."""
