"""What a CloudFormation template says under given parameters: written apart from the lab's own."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import yaml

NO_VALUE: Final = object()
_SUB = re.compile(r"\$\{(!?)([^}]+)\}")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    key = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {key: value}


_Loader.add_multi_constructor("!", _short)


class TemplateError(Exception):
    """CloudFormation would not take it."""


@cache
def load(text: str) -> Mapping[str, Any]:
    """A template. Raises ``TemplateError``."""
    try:
        # It is a safe loader.
        found = yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as error:
        raise TemplateError(f"Template format error: {error}") from error
    if not isinstance(found, dict) or "Resources" not in found:
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    return found


def parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> Mapping[str, str]:
    """Every parameter's value. Raises ``TemplateError``."""
    slots = template.get("Parameters", {})
    if unknown := sorted(set(given) - set(slots)):
        raise TemplateError(f"Parameters: {unknown} do not exist in the template")
    values: dict[str, str] = {}
    for name, slot in slots.items():
        value = given.get(name, slot.get("Default"))
        if value is None:
            raise TemplateError(f"Parameters: [{name}] must have values")
        text = str(value)
        allowed = [str(one) for one in slot.get("AllowedValues", [text])]
        pattern = slot.get("AllowedPattern")
        if text not in allowed or (pattern and not re.fullmatch(pattern, text)):
            raise TemplateError(f"Parameter {name} failed to satisfy constraint: {text}")
        if slot.get("Type") == "Number":
            number = float(text)
            low, high = slot.get("MinValue", number), slot.get("MaxValue", number)
            if not float(low) <= number <= float(high):
                raise TemplateError(f"Parameter {name} is out of range: {text}")
        values[name] = text
    return values


class Resolver:
    """Values of a template's functions. ``attribute`` knows what was made of a resource."""

    def __init__(
        self,
        template: Mapping[str, Any],
        values: Mapping[str, str],
        *,
        attribute: Callable[[str, str | None], Any],
    ) -> None:
        self.template = template
        self.values = values
        self.attribute = attribute
        """Of a logical id, an attribute, or None for what Ref gives."""

    def condition(self, name: str) -> bool:
        conditions = self.template.get("Conditions", {})
        if name not in conditions:
            raise TemplateError(f"Unresolved condition {name}")
        return self._true(conditions[name])

    def _true(self, said: Mapping[str, Any]) -> bool:
        ((function, given),) = said.items()
        match function:
            case "Condition":
                return self.condition(given)
            case "Fn::Equals":
                left, right = (str(self.value(one)) for one in given)
                return left == right
            case "Fn::Not":
                return not self._true(given[0])
            case "Fn::And":
                return all(self._true(one) for one in given)
            case "Fn::Or":
                return any(self._true(one) for one in given)
            case _:
                raise TemplateError(f"{function} is no condition")

    def value(self, said: Any) -> Any:
        """The value, with every function in it replaced."""
        if isinstance(said, list):
            return [found for one in said if (found := self.value(one)) is not NO_VALUE]
        if not isinstance(said, dict):
            return said
        if len(said) == 1:
            ((function, given),) = said.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._call(function, given)
        found = {key: self.value(one) for key, one in said.items()}
        return {key: one for key, one in found.items() if one is not NO_VALUE}

    def _call(self, function: str, given: Any) -> Any:  # noqa: PLR0911
        match function:
            case "Ref":
                return self._ref(given)
            case "Fn::GetAtt":
                name, attribute = given if isinstance(given, list) else given.split(".", 1)
                return self.attribute(name, attribute)
            case "Fn::Sub":
                text, more = given if isinstance(given, list) else (given, {})
                return _SUB.sub(lambda found: self._substitute(found, more), text)
            case "Fn::If":
                name, yes, no = given
                return self.value(yes if self.condition(name) else no)
            case "Fn::Join":
                return given[0].join(str(one) for one in self.value(given[1]))
            case "Fn::Select":
                return self.value(given[1])[int(given[0])]
            case "Fn::Split":
                return str(self.value(given[1])).split(given[0])
        raise TemplateError(f"{function} is not known here")

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        return self.values[name] if name in self.values else self.attribute(name, None)

    def _substitute(self, found: re.Match[str], more: Mapping[str, Any]) -> str:
        literal, name = found.groups()
        if literal:
            return f"${{{name}}}"
        if name in more:
            return str(self.value(more[name]))
        logical, _, attribute = name.partition(".")
        return str(self.attribute(logical, attribute) if attribute else self._ref(name))


def order(resources: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Logical ids, each after those that it refers to."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise TemplateError(f"Circular dependency between resources: {[*path]}")
        if name in done:
            return
        for other in sorted(_mentioned(resources[name]) & set(resources)):
            visit(other, (*path, name))
        done.append(name)

    for name in resources:
        visit(name, ())
    return done


def _mentioned(said: Any) -> set[str]:
    if isinstance(said, list):
        return set().union(*(_mentioned(one) for one in said))
    if not isinstance(said, dict):
        return set()
    found: set[str] = set()
    for key, one in said.items():
        if key == "Ref":
            found.add(one)
        elif key == "Fn::GetAtt":
            found.add(one[0] if isinstance(one, list) else one.split(".")[0])
        elif key == "DependsOn":
            found |= {one} if isinstance(one, str) else set(one)
        elif key == "Fn::Sub":
            text = one[0] if isinstance(one, list) else one
            found |= {name.split(".")[0] for literal, name in _SUB.findall(text) if not literal}
            found |= _mentioned(one[1]) if isinstance(one, list) else set()
        else:
            found |= _mentioned(one)
    return found
