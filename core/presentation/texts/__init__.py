"""Every sentence, by topic: facts and a locale in, plain text or a `Notice` out. Pure."""
