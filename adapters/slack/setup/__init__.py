"""Doctor, manifest, installations and OAuth."""
