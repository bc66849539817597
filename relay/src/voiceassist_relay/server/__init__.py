"""The HTTP server: uvicorn with bounds, and without its own ideas about signals and logs."""
