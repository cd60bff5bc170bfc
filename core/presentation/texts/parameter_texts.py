"""Names, hints and ranges of parameters, models and presets, and what is wrong with a value."""

from collections.abc import Mapping, Sequence

from core.domain.errors import ParameterProblem, PresetRefused
from core.domain.job import Job
from core.domain.models import ALL, MODELS, Models
from core.domain.parameters import sizes
from core.domain.parameters.spec import SPECS, Value, translatable
from core.presentation.formats import labelled, number
from core.presentation.notices import Notice
from core.presentation.translations import joined, language_of, tr, translated


def parameter_label(name: str, locale: str) -> str:
    """The name on a form; if a parameter has none, the name that is typed."""
    if name == "preset":
        return tr("Preset", locale)
    return translated(SPECS[name].label, locale) if name in SPECS else name


def parameter_hint(name: str, locale: str) -> str:
    return translated(SPECS[name].hint, locale) if name in SPECS else ""


def allowed_text(name: str, locale: str, models: Models = MODELS) -> str:
    """The allowed values over all models on offer: `1–10`, `on or off`, `any whole number`."""
    if SPECS[name].kind == "size":
        return sizes.ALLOWED
    if name == "model":
        return ", ".join(models.ids)
    if SPECS[name].kind == "bool":
        return tr("on or off", locale)
    return tr("any whole number", locale) if name == "seed" else models.inputs[name].allowed


def value_text(value: object) -> str:
    """A value as people type it: `3` rather than `3.0`, `on`, `off`; a dash for none."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "–"
    return number(value, "en", "0.####") if isinstance(value, float) else str(value)


def values_text(values: Mapping[str, object]) -> str:
    """`factor=4 creativity=0.2`."""
    return " ".join(assignment(name, value) for name, value in values.items())


def assignment(name: str, value: object) -> str:
    """`factor=4`; a size by the name that people use for it: `width=3000`, `max=$0.50`, else `to=4k`."""
    size = sizes.as_typed(str(value)) if name == "to" else ""
    return size if "=" in size else f"{name}={value_text(value)}"


def values_of(job: Job) -> dict[str, Value]:
    """All values of the job by chat name, with the seed that was actually used."""
    values = job.parameters.given()
    model = next((one for one in ALL if one.id == job.parameters.model), MODELS.default)
    if job.result is not None and "seed" in model.gives:
        values["seed"] = job.result.seed
    return {name: values[name] for name in SPECS if name in values}


def model_choice(model_id: str, models: Models, locale: str) -> str:
    """`Faithful: repaints nothing`."""
    model = models.find(model_id)
    language = language_of(locale)
    return labelled(model.name(language), model.about(language), locale) if model else model_id


def model_name(model_id: str, locale: str) -> str:
    """`Faithful`; the id of a model that no longer exists."""
    model = next((one for one in ALL if one.id == model_id), None)
    return model.name(language_of(locale)) if model is not None else model_id


_PRESETS = {
    "faithful": (translatable("Faithful"), translatable("stays close to the original")),
    "balanced": (translatable("Balanced"), translatable("the model's own values")),
    "creative": (translatable("Creative"), translatable("invents more detail")),
}


def preset_name(name: str, locale: str) -> str:
    return translated(_PRESETS[name][0], locale)


def preset_meaning(name: str, locale: str) -> str:
    return translated(_PRESETS[name][1], locale)


def preset_text(name: str, values: Mapping[str, object]) -> str:
    """`creative (creativity 0.6)`."""
    inner = ", ".join(f"{key} {value_text(value)}" for key, value in values.items())
    return f"{name} ({inner})" if inner else name


def parameter_problems(problems: Sequence[ParameterProblem], locale: str) -> str:
    """One line each; the example stands once, in the last line that has one."""
    example = next((one for one in reversed(problems) if one.kind == "stray" and not one.suggestion), None)
    return "\n".join(parameter_problem(one, locale, with_example=one is example) for one in problems)


def parameter_problem(problem: ParameterProblem, locale: str, *, with_example: bool = True) -> str:
    allowed = problem.allowed and translated(problem.allowed, locale)  # `on or off`; ranges and names stay
    facts = {"name": problem.name, "value": problem.value, "allowed": allowed}
    if problem.kind == "unknown":
        known = tr("There is no parameter “{name}”.", locale, **facts)
        hint = problem.suggestion and tr("Did you mean “{name}”?", locale, name=problem.suggestion)
        return joined(known, hint or "")
    if problem.kind == "missing_value":
        return tr("“{name}” needs a value: {allowed}.", locale, **facts)
    if problem.kind == "duplicate":
        return tr("“{name}” is given twice with different values.", locale, **facts)
    if problem.kind == "stray":
        unclear = tr("I don't understand “{value}”.", locale, **facts)
        if problem.suggestion:
            return joined(unclear, tr("Did you mean “{name}”?", locale, name=problem.suggestion))
        example = tr("Try: {example}.", locale, example="factor=3 creativity=0.5") if with_example else ""
        return joined(unclear, example)
    if problem.kind == "together":
        return tr("“{name}” and “{value}” do not go together: give only one of them.", locale, **facts)
    if problem.kind == "not_in_model":
        return tr("The model {value} has no {name}; it takes {allowed}.", locale, **facts)
    if problem.kind == "too_many":
        return tr(
            "“{name}”: there are {value} here already, which is the most allowed. Remove one first.", locale, **facts
        )
    if problem.kind == "too_long":
        return tr("“{name}” has {value} characters; at most {allowed} are read.", locale, **facts)
    if problem.kind == "no_link":
        return tr("“{value}” is not a link. A link begins with https://.", locale, **facts)
    if problem.kind == "type":
        return tr("{name} cannot be “{value}”. Choose {allowed}.", locale, **facts)
    return tr("{name} must be {allowed}; you wrote {value}.", locale, **facts)


def preset_refused(error: PresetRefused, locale: str) -> Notice:
    facts = {"name": error.name, "names": ", ".join(error.names), "n": error.limit or len(error.names)}
    another, yours = tr("Choose another name.", locale), tr("Yours: {names}.", locale, **facts) if error.names else ""
    what, advice = {
        "preset": (tr("“{name}” is a preset that everybody has.", locale, **facts), another),
        "parameter": (tr("“{name}” is the name of a parameter.", locale, **facts), another),
        "word": (tr("“{name}” already means something here.", locale, **facts), another),
        "shape": (
            tr("“{name}” cannot be the name of a preset.", locale, **facts),
            tr("Take one word of at most {n} letters, digits, - or _, with a letter first.", locale, **facts),
        ),
        "too_many": (
            tr("You have {n} presets, which is the most allowed.", locale, **facts),
            tr("Delete one first: {names}.", locale, **facts),
        ),
        "unknown": (tr("You have no preset “{name}”.", locale, **facts), yours),
        "not_kept": (
            tr("“{name}” cannot be saved.", locale, **facts),
            tr("Give it with each image.", locale),
        ),
    }[error.reason]
    return Notice(what, advice=advice, tone="refusal")
