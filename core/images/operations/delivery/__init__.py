"""What becomes of a result: made like its source, to size, and in the shapes that places show."""
