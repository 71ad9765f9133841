"""CloudFormation as it behaves, over what moto has.

moto's own gives SageMaker's things names of its own, makes nothing that a condition allows only in
an update, replaces an endpoint by deleting it, knows neither bucket policies nor scaling, and never
rolls back. Here stacks do what AWS documents; the resources are made in moto.
"""

import secrets
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from botocore.exceptions import ClientError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.utils import get_service_model
from werkzeug.datastructures import Headers, MultiDict

from tests.cloud.faults import Answer, Call, error, success
from tests.cloud.resources import TYPES, Made, Type, gone, tagged
from tests.cloud.template import Resolver, TemplateError, load, order, parameters

_ALL: Final = 10_000
_STACK: Final = "AWS::CloudFormation::Stack"
_NO_UPDATE: Final = "No updates are to be performed."
_BUSY: Final = "is in {} state and can not be updated."


class _RefusedError(Exception):
    """An error that the API answers with."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.code = code


class _FailedError(Exception):
    """A resource could not be made, changed or removed."""


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What a stack is to become."""

    text: str
    given: Mapping[str, str]
    tags: Sequence[Mapping[str, str]]


@dataclass(kw_only=True)
class Stack:
    """A stack, there or deleted."""

    name: str
    id: str
    plan: _Plan
    status: str
    reason: str = ""
    made: dict[str, Made] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    work: Iterator[None] | None = None
    protected: bool = False
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def gone(self) -> bool:
        return self.status == "DELETE_COMPLETE"

    def say(
        self, logical: str, type_: str, status: str, reason: str = "", physical: str = ""
    ) -> None:
        """An event, and for the stack itself its state."""
        if type_ == _STACK:
            self.status, self.reason = status, reason
        said = {
            "StackId": self.id,
            "EventId": str(uuid.uuid4()),
            "StackName": self.name,
            "LogicalResourceId": logical,
            "PhysicalResourceId": physical or (self.id if type_ == _STACK else ""),
            "ResourceType": type_,
            "Timestamp": datetime.now(UTC),
            "ResourceStatus": status,
        }
        self.events.append(said | ({"ResourceStatusReason": reason} if reason else {}))

    def become(self, status: str, reason: str = "") -> None:
        self.say(self.name, _STACK, status, reason)


@dataclass(kw_only=True)
class _ChangeSet:
    id: str
    name: str
    stack: Stack
    plan: _Plan
    kind: str
    changes: Sequence[tuple[str, str, str]]
    """Action, logical id, type."""


class Formation:
    """Every stack of one region of one account. A stack's work goes on when it is asked after."""

    def __init__(self, client: Callable[[str], Any], *, region: str, account: str) -> None:
        self.pace = _ALL
        """Resources that are dealt with for each DescribeStacks or DescribeStackEvents."""
        self._region = region
        self._account = account
        self._types = {name: kind(client, region, account) for name, kind in TYPES.items()}
        self._stacks: list[Stack] = []
        self._sets: list[_ChangeSet] = []
        self._faults: list[tuple[str, str, list[int]]] = []
        self._answered: dict[str, Any] = {}
        """By a request's token: one that is sent again is not carried out again."""
        self._model = get_service_model("cloudformation")

    # --- for tests -------------------------------------------------------------------------------

    def fail(self, what: str, reason: str, *, times: int = 1) -> None:
        """Let the next making or changing of a type, or of a logical id, fail for a reason."""
        self._faults.append((what, reason, [times]))

    def stack(self, name: str) -> Stack | None:
        """The stack of that name, unless it is deleted."""
        return next((one for one in self._stacks if one.name == name and not one.gone), None)

    def forget(self) -> None:
        """No stack was ever made."""
        self._stacks.clear()
        self._sets.clear()
        self._faults.clear()

    def settle(self) -> None:
        """Let all that is under way come to its end."""
        for stack in self._stacks:
            self._go_on(stack, _ALL)

    def stick(self, name: str, status: str, reason: str = "") -> None:
        """Put a stack into a state, e.g. ``UPDATE_ROLLBACK_FAILED``."""
        stack = self.stack(name)
        assert stack is not None
        stack.work = None
        stack.become(status, reason)

    # --- the API ---------------------------------------------------------------------------------

    def __call__(self, call: Call) -> Answer:
        """Answer a request."""
        operation = self._model.operation_model(call.action)
        values = MultiDict(parse_qsl(call.body.decode(), keep_blank_values=True))
        asked = PROTOCOL_PARSERS["query"](operation).parse(
            {
                "method": call.method,
                "values": values,
                "headers": Headers(),
                "body": call.body,
                "url_path": call.path,
                "url_params": {},
            }
        )
        handler = getattr(self, f"_do_{call.action}", None)
        if handler is None:
            return error(call, "InvalidAction", f"{call.action} is not played here", 400)
        try:
            token = asked.get("ClientRequestToken") or str(uuid.uuid4())
            if token not in self._answered:
                self._answered[token] = handler(asked)
            return success(call, self._answered[token])
        except (_RefusedError, TemplateError) as refused:
            code = getattr(refused, "code", "ValidationError")
            return error(call, code, str(refused), 400)

    def _do_ValidateTemplate(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        template = load(asked["TemplateBody"])
        return {"Parameters": [{"ParameterKey": key} for key in template.get("Parameters", {})]}

    def _do_CreateStack(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        name = asked["StackName"]
        if self.stack(name) is not None:
            raise _RefusedError(f"Stack [{name}] already exists", "AlreadyExistsException")
        stack = self._new(name, self._planned(asked, None), "REVIEW_IN_PROGRESS")
        if asked.get("DisableRollback"):
            on_failure = "DO_NOTHING"
        else:
            on_failure = asked.get("OnFailure", "ROLLBACK")
        self._begin(stack, self._creating(stack, on_failure), "CREATE_IN_PROGRESS")
        stack.protected = bool(asked.get("EnableTerminationProtection"))
        return {"StackId": stack.id}

    def _do_UpdateStack(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        stack = self._there(asked["StackName"])
        self._updatable(stack)
        plan = self._planned(asked, stack)
        if not self._differs(stack, plan):
            raise _RefusedError(_NO_UPDATE)
        self._begin(stack, self._updating(stack, plan), "UPDATE_IN_PROGRESS")
        return {"StackId": stack.id}

    def _do_DeleteStack(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        stack = self._find(asked["StackName"])
        if stack is None or stack.gone:
            return {}
        if stack.protected:
            raise _RefusedError(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        if stack.work is not None and "DELETE" in stack.status:
            return {}
        retained = frozenset(asked.get("RetainResources") or ())
        self._begin(stack, self._deleting(stack, retained), "DELETE_IN_PROGRESS")
        return {}

    def _do_CancelUpdateStack(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        stack = self._there(asked["StackName"])
        if stack.status != "UPDATE_IN_PROGRESS" or stack.work is None:
            raise _RefusedError("CancelUpdateStack cannot be called from current stack status")
        self._go_on(stack, 1)
        try:
            assert isinstance(stack.work, Generator)
            stack.work.throw(_FailedError("Resource update cancelled"))
        except StopIteration:
            stack.work = None
        return {}

    def _do_ContinueUpdateRollback(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        stack = self._there(asked["StackName"])
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise _RefusedError(f"Stack [{stack.name}] is not in UPDATE_ROLLBACK_FAILED state")
        stack.become("UPDATE_ROLLBACK_IN_PROGRESS")
        stack.become("UPDATE_ROLLBACK_COMPLETE")
        return {}

    def _do_DescribeStacks(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        if name := asked.get("StackName"):
            stack = self._find(name)
            if stack is None:
                raise _RefusedError(f"Stack with id {name} does not exist")
            told = self._told(stack)
            self._go_on(stack, self.pace)
            return {"Stacks": [told]}
        return {"Stacks": [self._told(one) for one in self._stacks if not one.gone]}

    def _do_ListStacks(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        wanted = asked.get("StackStatusFilter")
        return {
            "StackSummaries": [
                self._told(one) for one in self._stacks if not wanted or one.status in wanted
            ]
        }

    def _do_DescribeStackEvents(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        stack = self._there(asked["StackName"], deleted=True)
        return {"StackEvents": [*reversed(stack.events)]}

    def _do_DescribeStackResources(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        stack = self._there(asked["StackName"])
        return {"StackResources": self._resources(stack)}

    def _do_ListStackResources(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        stack = self._there(asked["StackName"])
        return {"StackResourceSummaries": self._resources(stack)}

    def _do_GetTemplate(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return {"TemplateBody": self._there(asked["StackName"]).plan.text}

    def _do_CreateChangeSet(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        kind = asked.get("ChangeSetType", "UPDATE")
        if kind == "CREATE":
            old = self.stack(asked["StackName"])
            if old is not None and old.status != "REVIEW_IN_PROGRESS":
                raise _RefusedError(f"Stack [{old.name}] already exists", "AlreadyExistsException")
            plan = self._planned(asked, None)
            stack = old or self._new(asked["StackName"], plan, "REVIEW_IN_PROGRESS")
            changes = self._changes(stack, plan)
        else:
            stack = self._there(asked["StackName"])
            self._updatable(stack)
            plan = self._planned(asked, stack)
            changes = self._changes(stack, plan) if self._differs(stack, plan) else []
        made = _ChangeSet(
            id=f"arn:aws:cloudformation:{self._region}:{self._account}:changeSet/{uuid.uuid4()}",
            name=asked["ChangeSetName"],
            stack=stack,
            plan=plan,
            kind=kind,
            changes=changes,
        )
        self._sets.append(made)
        return {"Id": made.id, "StackId": stack.id}

    def _do_DescribeChangeSet(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        found = self._set(asked)
        said: dict[str, Any] = {
            "ChangeSetName": found.name,
            "ChangeSetId": found.id,
            "StackId": found.stack.id,
            "StackName": found.stack.name,
            "Status": "CREATE_COMPLETE",
            "ExecutionStatus": "AVAILABLE",
            "Changes": [
                {
                    "Type": "Resource",
                    "ResourceChange": {
                        "Action": action,
                        "LogicalResourceId": logical,
                        "ResourceType": type_,
                    },
                }
                for action, logical, type_ in found.changes
            ],
        }
        if not found.changes:
            said |= {
                "Status": "FAILED",
                "ExecutionStatus": "UNAVAILABLE",
                "StatusReason": "The submitted information didn't contain changes. "
                "Submit different information to create a change set.",
            }
        return said

    def _do_ExecuteChangeSet(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        found = self._set(asked)
        stack = found.stack
        self._sets.remove(found)
        if found.kind == "CREATE":
            stack.plan = found.plan
            self._begin(stack, self._creating(stack, "ROLLBACK"), "CREATE_IN_PROGRESS")
        else:
            self._updatable(stack)
            self._begin(stack, self._updating(stack, found.plan), "UPDATE_IN_PROGRESS")
        return {}

    def _do_DeleteChangeSet(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        self._sets.remove(self._set(asked))
        return {}

    # --- what is asked for -----------------------------------------------------------------------

    def _planned(self, asked: Mapping[str, Any], stack: Stack | None) -> _Plan:
        if asked.get("UsePreviousTemplate"):
            assert stack is not None
            text = stack.plan.text
        else:
            text = asked["TemplateBody"]
        template = load(text)
        given = {}
        for one in asked.get("Parameters") or ():
            key = one["ParameterKey"]
            if one.get("UsePreviousValue"):
                assert stack is not None
                given[key] = parameters(load(stack.plan.text), stack.plan.given)[key]
            else:
                given[key] = one.get("ParameterValue") or ""
        parameters(template, given)
        types = {one["Type"] for one in template["Resources"].values()}
        if unknown := sorted(types - set(TYPES)):
            raise _RefusedError(f"Template format error: Unrecognized resource types: {unknown}")
        named = any(one["Type"].startswith("AWS::IAM::") for one in template["Resources"].values())
        capabilities = asked.get("Capabilities") or ()
        if named and "CAPABILITY_NAMED_IAM" not in capabilities:
            text = "Requires capabilities : [CAPABILITY_NAMED_IAM]"
            raise _RefusedError(text, "InsufficientCapabilitiesException")
        tags = asked.get("Tags")
        if tags is None and stack is not None:
            tags = stack.plan.tags
        return _Plan(text=text, given=given, tags=tuple(tags or ()))

    def _updatable(self, stack: Stack) -> None:
        ended = {"ROLLBACK_COMPLETE", "DELETE_COMPLETE"}
        if not stack.status.endswith("_COMPLETE") or stack.status in ended:
            raise _RefusedError(f"Stack:{stack.id} " + _BUSY.format(stack.status))

    def _wanted(
        self, stack: Stack, plan: _Plan
    ) -> tuple[Mapping[str, Any], Sequence[str], Resolver]:
        template = load(plan.text)
        values = {
            "AWS::AccountId": self._account,
            "AWS::Region": self._region,
            "AWS::Partition": "aws",
            "AWS::StackName": stack.name,
            "AWS::StackId": stack.id,
            "AWS::URLSuffix": "amazonaws.com",
            **parameters(template, plan.given),
        }

        def attribute(logical: str, name: str | None) -> Any:
            if logical not in stack.made:
                raise TemplateError(f"Unresolved resource dependencies [{logical}]")
            made = stack.made[logical]
            if name is None:
                return made.reference
            if name not in made.attributes:
                raise TemplateError(f"{logical} has no attribute {name}")
            return made.attributes[name]

        resolver = Resolver(template, values, attribute=attribute)
        resources = template["Resources"]
        names = [
            name
            for name in order(resources)
            if "Condition" not in resources[name]
            or resolver.condition(resources[name]["Condition"])
        ]
        return resources, names, resolver

    def _differs(self, stack: Stack, plan: _Plan) -> bool:
        old = stack.plan
        if (load(old.text), dict(old.given), list(old.tags)) == (
            load(plan.text),
            dict(plan.given),
            list(plan.tags),
        ):
            return False
        return bool(self._changes(stack, plan)) or list(old.tags) != list(plan.tags)

    def _changes(self, stack: Stack, plan: _Plan) -> Sequence[tuple[str, str, str]]:
        resources, names, resolver = self._wanted(stack, plan)
        found = []
        for name in names:
            type_ = resources[name]["Type"]
            if name not in stack.made:
                found.append(("Add", name, type_))
                continue
            try:
                said = resolver.value(resources[name].get("Properties", {}))
            except TemplateError:
                said = None
            if said is None or tagged(said, plan.tags, type_) != stack.made[name].properties:
                found.append(("Modify", name, type_))
        gone_ = [name for name in stack.made if name not in names]
        return [*found, *(("Remove", name, stack.made[name].type) for name in gone_)]

    # --- what is done ----------------------------------------------------------------------------

    def _begin(self, stack: Stack, work: Iterator[None], status: str) -> None:
        stack.become(status, "User Initiated")
        stack.work = work

    def _go_on(self, stack: Stack, steps: int) -> None:
        for _ in range(steps):
            if stack.work is None:
                return
            try:
                next(stack.work)
            except StopIteration:
                stack.work = None

    def _creating(self, stack: Stack, on_failure: str) -> Iterator[None]:
        try:
            yield from self._apply(stack, stack.plan, {})
        except _FailedError as failed:
            if on_failure == "DO_NOTHING":
                stack.become("CREATE_FAILED", str(failed))
                return
            if on_failure == "DELETE":
                stack.become("DELETE_IN_PROGRESS", str(failed))
                yield from self._deleting(stack, frozenset())
                return
            stack.become("ROLLBACK_IN_PROGRESS", f"{failed} Rollback requested by user.")
            try:
                yield from self._remove(stack, [*reversed(stack.made)], frozenset())
            except _FailedError as again:
                stack.become("ROLLBACK_FAILED", str(again))
                return
            stack.become("ROLLBACK_COMPLETE")
            return
        stack.become("CREATE_COMPLETE")

    def _updating(self, stack: Stack, plan: _Plan) -> Iterator[None]:
        before = dict(stack.made)
        replaced: dict[str, Made] = {}
        try:
            yield from self._apply(stack, plan, replaced)
        except _FailedError as failed:
            stack.become("UPDATE_ROLLBACK_IN_PROGRESS", str(failed))
            yield from self._back(stack, before)
            stack.become("UPDATE_ROLLBACK_COMPLETE")
            return
        stack.plan = plan
        stack.become("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        yield
        _, names, _ = self._wanted(stack, plan)
        dropped = [name for name in reversed(stack.made) if name not in names]
        yield from self._remove(stack, dropped, frozenset())
        for name, old in replaced.items():
            self._type(old).delete(old)
            stack.say(name, _full(old), "DELETE_COMPLETE", physical=old.physical)
        stack.become("UPDATE_COMPLETE")

    def _apply(self, stack: Stack, plan: _Plan, replaced: dict[str, Made]) -> Iterator[None]:
        resources, names, resolver = self._wanted(stack, plan)
        for logical in names:
            type_ = resources[logical]["Type"]
            try:
                said = resolver.value(resources[logical].get("Properties", {}))
            except TemplateError as wrong:
                raise _FailedError(str(wrong)) from wrong
            properties = tagged(said, plan.tags, type_)
            self._one(stack, logical, type_, properties, replaced)
            yield

    def _one(
        self,
        stack: Stack,
        logical: str,
        type_: str,
        properties: Mapping[str, Any],
        replaced: dict[str, Made],
    ) -> None:
        kind = self._types[type_]
        old = stack.made.get(logical)
        if old is not None and old.properties == properties:
            return
        named = bool(kind.name_property) and kind.name_property in properties
        name = properties[kind.name_property] if named else _generated(stack.name, logical, type_)
        replacing = old is not None and kind.needs_replacing(old.properties, properties)
        verb = "CREATE" if old is None else "UPDATE"
        stack.say(logical, type_, f"{verb}_IN_PROGRESS")
        try:
            self._spoil(logical, type_)
            if replacing and old is not None and old.properties.get(kind.name_property) == name:
                raise _FailedError(  # noqa: TRY301
                    "CloudFormation cannot update a stack when a custom-named resource "
                    f"requires replacing. Rename {name} and update the stack again."
                )
            if old is None or replacing:
                made = kind.create(name, properties)
                if old is not None:
                    replaced[logical] = old
            else:
                made = kind.update(old, properties)
        except (_FailedError, ClientError) as failed:
            stack.say(logical, type_, f"{verb}_FAILED", str(failed))
            raise _FailedError(
                f"The following resource(s) failed to {verb.lower()}: [{logical}]."
            ) from failed
        stack.made[logical] = made
        stack.say(logical, type_, f"{verb}_COMPLETE", physical=made.physical)

    def _back(self, stack: Stack, before: Mapping[str, Made]) -> Iterator[None]:
        for logical, old in before.items():
            now = stack.made[logical]
            if now is old:
                continue
            if now.physical == old.physical:
                stack.made[logical] = self._type(old).update(now, old.properties)
                stack.say(logical, _full(old), "UPDATE_COMPLETE", physical=old.physical)
        for logical in [*reversed(stack.made)]:
            now, was = stack.made[logical], before.get(logical)
            if was is not None and was.physical == now.physical:
                continue
            self._type(now).delete(now)
            stack.say(logical, _full(now), "DELETE_COMPLETE", physical=now.physical)
            del stack.made[logical]
            if was is not None:
                stack.made[logical] = was
            yield

    def _deleting(self, stack: Stack, retained: frozenset[str]) -> Iterator[None]:
        try:
            yield from self._remove(stack, [*reversed(stack.made)], retained)
        except _FailedError as failed:
            stack.become("DELETE_FAILED", str(failed))
            return
        stack.become("DELETE_COMPLETE")

    def _remove(
        self, stack: Stack, names: Sequence[str], retained: frozenset[str]
    ) -> Iterator[None]:
        template = load(stack.plan.text)["Resources"]
        # In the order in which nothing is removed that something still needs.
        sequence = [name for name in reversed(order(template)) if name in names]
        for logical in sequence:
            made = stack.made[logical]
            keep = template[logical].get("DeletionPolicy", "Delete")
            if logical in retained or keep == "Retain":
                stack.say(logical, _full(made), "DELETE_SKIPPED", physical=made.physical)
                del stack.made[logical]
                continue
            stack.say(logical, _full(made), "DELETE_IN_PROGRESS", physical=made.physical)
            try:
                self._spoil(f"delete {logical}", f"delete {_full(made)}")
                self._type(made).delete(made)
            except (ClientError, _FailedError) as failure:
                if not (isinstance(failure, ClientError) and gone(failure)):
                    stack.say(logical, _full(made), "DELETE_FAILED", str(failure), made.physical)
                    raise _FailedError(
                        f"The following resource(s) failed to delete: [{logical}]."
                    ) from failure
            stack.say(logical, _full(made), "DELETE_COMPLETE", physical=made.physical)
            del stack.made[logical]
            yield

    # --- small things ----------------------------------------------------------------------------

    def _spoil(self, logical: str, type_: str) -> None:
        for what, reason, left in self._faults:
            if what in {logical, type_} and left[0] > 0:
                left[0] -= 1
                raise _FailedError(reason)

    def _type(self, made: Made) -> Type:
        return self._types[_full(made)]

    def _new(self, name: str, plan: _Plan, status: str) -> Stack:
        where = f"arn:aws:cloudformation:{self._region}:{self._account}"
        stack = Stack(
            name=name, id=f"{where}:stack/{name}/{uuid.uuid4()}", plan=plan, status=status
        )
        self._stacks.append(stack)
        return stack

    def _find(self, name: str) -> Stack | None:
        """By name if it is there; by id even if it is deleted."""
        by_id = next((one for one in self._stacks if one.id == name), None)
        return by_id or self.stack(name)

    def _there(self, name: str, *, deleted: bool = False) -> Stack:
        found = self._find(name)
        if found is None or (found.gone and not deleted):
            raise _RefusedError(f"Stack [{name}] does not exist")
        return found

    def _set(self, asked: Mapping[str, Any]) -> _ChangeSet:
        name = asked["ChangeSetName"]
        found = next((one for one in self._sets if name in {one.name, one.id}), None)
        if found is None:
            raise _RefusedError(f"ChangeSet [{name}] does not exist", "ChangeSetNotFound")
        return found

    def _resources(self, stack: Stack) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "StackName": stack.name,
                "StackId": stack.id,
                "LogicalResourceId": logical,
                "PhysicalResourceId": made.physical,
                "ResourceType": _full(made),
                "ResourceStatus": "CREATE_COMPLETE",
                "Timestamp": stack.created,
                "LastUpdatedTimestamp": stack.created,
            }
            for logical, made in stack.made.items()
        ]

    def _told(self, stack: Stack) -> Mapping[str, Any]:
        said: dict[str, Any] = {
            "StackId": stack.id,
            "StackName": stack.name,
            "CreationTime": stack.created,
            "StackStatus": stack.status,
            "EnableTerminationProtection": stack.protected,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in parameters(load(stack.plan.text), stack.plan.given).items()
            ],
            "Tags": [*stack.plan.tags],
            "Outputs": self._outputs(stack),
        }
        return said | ({"StackStatusReason": stack.reason} if stack.reason else {})

    def _outputs(self, stack: Stack) -> Sequence[Mapping[str, str]]:
        if not stack.status.endswith("_COMPLETE") or "ROLLBACK" in stack.status[:8] or stack.gone:
            return []
        template = load(stack.plan.text)
        _, _, resolver = self._wanted(stack, stack.plan)
        return [
            {"OutputKey": key, "OutputValue": str(resolver.value(one["Value"]))}
            for key, one in template.get("Outputs", {}).items()
            if "Condition" not in one or resolver.condition(one["Condition"])
        ]


_FULL: Final = {kind.__name__: name for name, kind in TYPES.items()}


def _full(made: Made) -> str:
    return _FULL[made.type]


def _generated(stack: str, logical: str, type_: str) -> str:
    name = f"{stack}-{logical}-{secrets.token_hex(6)}"
    return name.lower() if type_ in {"AWS::S3::Bucket", "AWS::ECR::Repository"} else name[:63]
