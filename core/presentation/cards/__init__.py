"""Builders: facts and a locale in, a `core.presentation.card.Card` out. Pure; every sentence for people is here."""
