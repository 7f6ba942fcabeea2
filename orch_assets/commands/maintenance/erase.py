"""``orch-assets erase``: removes everything that the stores hold of a study."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orch_assets.commands.exit_codes import FAILED, NONE_COULD_RUN, SUCCEEDED
from orch_assets.commands.location import (
    code_location,
    location_resources,
    settled_instance,
    store_of,
)

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.stores import PipelineStore
    from orch_assets.stores.erasing.erasure_plan import ErasureCertificate, ErasurePlan
    from orch_assets.stores.erasing.study_erasure import StudyErasure

_SHOWN: Final = 20
_BEYOND: Final = (
    "Not reached: folders that `export --to` and `report` wrote, backups, and data in other "
    "systems. Dagster's event log stays; what it says about stored data leads nowhere then."
)


@click.command()
@click.option("--study", "study_key", required=True, metavar="KEY", help="The study.")
@click.option("--dry-run", is_flag=True, help="Only show what would go, and what is in the way.")
@click.option("--confirm", metavar="KEY", help="The study's key once more, instead of typing it.")
@click.option(
    "--confirm-again",
    metavar="N",
    help="The number of objects that go, or 'erase', instead of typing it.",
)
@click.option(
    "--certificate",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the certificate to this new file, too.",
)
def erase(
    study_key: str,
    *,
    dry_run: bool,
    confirm: str | None,
    confirm_again: str | None,
    file: Path | None,
) -> int:
    """Remove everything that the stores hold of a study, for good.

    These are all of its artifacts, with all versions, their withheld parts, exports and failure
    reports, and the earlier versions of tables of the whole account that have its rows. The study
    must be retired and excluded by the study filter, no run may be unfinished, and none of its
    versions may be marked or be an input of what stays. Asks for two confirmations. A certificate
    lists what went, by hash, and what a verification of the stores found; it is stored as the
    artifact erasures/KEY. If the command is killed, run it again.
    """
    if file is not None and (file.exists() or not file.absolute().parent.is_dir()):
        raise click.BadParameter(f"{file} exists, or its folder doesn't. Nothing was erased.")
    with settled_instance() as instance, location_resources(instance) as resources:
        erasure = _erasure(instance, resources, study_key)
        plan = erasure.plan()
        if _is_unknown(plan):
            hint = _hint(study_key, resources)
            click.echo(f"The stores hold nothing of a study {study_key}.{hint}", err=True)
            return NONE_COULD_RUN
        _show(plan)
        _show_refused(plan)
        is_empty = not (plan.artifacts or plan.unfinished)
        if dry_run or plan.blocked or is_empty:
            click.echo("Nothing was erased.")
            return FAILED if plan.blocked else NONE_COULD_RUN if is_empty else SUCCEEDED
        if not _confirmed(plan, confirm, confirm_again):
            return FAILED
        now = erasure.plan()
        _show_refused(now)
        if now.blocked or now.stores != plan.stores:
            click.echo("The stores changed meanwhile. Nothing was erased: start again.", err=True)
            return FAILED
        return _erased(erasure, now, file)


def _erasure(instance: "dg.DagsterInstance", resources: Any, study_key: str) -> "StudyErasure":
    from orch_assets.defs.erasing.erasable import assets_over_studies, study_erasure

    return study_erasure(
        study_key,
        resources,
        _stores(resources),
        assets_over_studies(code_location().defs),
        instance,
        resources.orchestration.study_filter(),
    )


def _stores(resources: Any) -> "dict[str, PipelineStore]":
    keys = {"open": "io_manager", "restricted": "restricted_io_manager"}
    return {label: store_of(resources, key) for label, key in keys.items()}


def _hint(study_key: str, resources: Any) -> str:
    """Return that the study was erased, or a question that suggests a similar key; else ""."""
    from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean
    from orch_assets.stores.object_keys import CERTIFICATES

    names = [name for store in _stores(resources).values() for name in store.list_artifacts()]
    certificate = f"{CERTIFICATES}/{study_key}"
    if certificate in names:
        return f" It was erased; its certificate is the artifact {certificate}."
    parts = [name.split("/") for name in names if not name.startswith(f"{CERTIFICATES}/")]
    keys = {each[-1] for each in parts if len(each) > 1}
    return did_you_mean(closest_key(study_key, sorted(keys)))


def _is_unknown(plan: "ErasurePlan") -> bool:
    """Return whether nothing at all speaks for a study, or against its erasure, in the stores."""
    is_empty = not plan.artifacts and not plan.unfinished
    return is_empty and not (plan.found_against or plan.foreign or plan.unexamined)


def _show_refused(plan: "ErasurePlan") -> None:
    for reason in plan.blocked:
        click.echo(f"Refused: {reason}")


def _show(plan: "ErasurePlan") -> None:
    if plan.unfinished:
        begun = plan.unfinished.runs[0]
        click.echo(f"The erasure that {begun.by} began at {begun.at} is unfinished. Still there:")
    for label, artifacts in plan.stores.items():
        objects = sum(len(each.keys) for each in artifacts)
        click.echo(f"{label} store: {_count(len(artifacts), 'artifact')}, {objects} objects")
        for each in artifacts[:_SHOWN]:
            part = "" if each.whole else f" of the account, because each {each.reason}"
            click.echo(f"  {each.artifact}: {_count(len(each.versions), 'version')}{part}")
        if len(artifacts) > _SHOWN:
            click.echo(f"  … and {len(artifacts) - _SHOWN} more")
    click.echo(
        f"Of study {plan.study}, these go: {_count(len(plan.artifacts), 'artifact')}, "
        f"{_count(plan.versions, 'version')}, {plan.objects} objects, {plan.bytes:,} bytes. "
        f"Published last: {plan.newest or 'unknown'}."
    )
    for name in plan.unexamined:
        click.echo(
            f"Nobody can tell whether {name} holds data of the study. Look into it yourself."
        )
    for uri in plan.foreign[:_SHOWN]:
        click.echo(f"Stays, because no store wrote it: {uri}")
    if len(plan.foreign) > _SHOWN:
        click.echo(f"… and {len(plan.foreign) - _SHOWN} more such objects")
    click.echo(_BEYOND)


def _confirmed(plan: "ErasurePlan", confirm: str | None, confirm_again: str | None) -> bool:
    """Return whether the study's key and the number of objects were given or typed."""
    first = _answer(
        confirm, f"This can't be undone. To erase it, type the study's key {plan.study}"
    )
    if first != plan.study:
        click.echo("That is not the study's key. Nothing was erased.", err=True)
        return False
    asked = f"Once more: type the number of objects ({plan.objects}), or erase"
    if _answer(confirm_again, asked) not in {str(plan.objects), "erase"}:
        click.echo(
            f"That is neither the number of objects, {plan.objects}, nor 'erase'. Nothing was "
            "erased.",
            err=True,
        )
        return False
    return True


def _answer(given: str | None, question: str) -> str | None:
    if given is not None:
        return given.strip()
    try:
        return str(click.prompt(question, err=True, default="", show_default=False)).strip()
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        return None


def _erased(erasure: "StudyErasure", plan: "ErasurePlan", file: Path | None) -> int:
    from orch_assets.terminal import verification_bar

    with verification_bar() as progress:
        certificate = erasure.carry_out(plan, progress)
    _report(certificate, plan.study)
    is_written = file is None or _written(certificate, file)
    return SUCCEEDED if is_written and not certificate.faults else FAILED


def _written(certificate: "ErasureCertificate", file: Path) -> bool:
    try:
        with file.open("x", encoding="utf-8") as target:
            json.dump(certificate.value, target, ensure_ascii=False, indent=1)
    except OSError as error:
        uri = certificate.published.uri
        click.echo(f"{file} can't be written: {error.strerror}. Copy {uri} instead.", err=True)
        return False
    return True


def _report(certificate: "ErasureCertificate", study_key: str) -> None:
    for store in certificate.value["stores"]:
        verified, keeps = store["verified"], store["keeps_deleted_objects"]
        click.echo(
            f"{store['store']} store: {store['objects']} objects erased; "
            f"{verified['objects']} that stay verified, {len(verified['faults']) or 'no'} faults."
        )
        if keeps is not False:
            what = "keeps" if keeps else "may keep"
            click.echo(
                f"The bucket of the {store['store']} store {what} deleted objects, as earlier "
                "versions or for some days. Remove them by the bucket's own means."
            )
    for fault in certificate.faults:
        click.echo(f"Fault: {fault}")
    click.echo(f"Erased study {study_key}. Certificate: {certificate.published.uri}")


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
