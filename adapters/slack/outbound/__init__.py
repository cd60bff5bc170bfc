"""The job's message: post, edit, deliver, fall back; the API client."""
