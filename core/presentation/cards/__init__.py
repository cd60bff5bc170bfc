"""Card builders: facts and a locale in, a `core.presentation.card.Card` out. Pure."""
