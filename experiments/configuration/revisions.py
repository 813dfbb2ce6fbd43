"""Publishing a revision: the only way a change of configuration takes effect."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction

from experiments.configuration.document import content_hash, current_document
from experiments.configuration.experiment_locks import refuse_locked
from experiments.configuration.policy_store import build_policy, store
from experiments.core.differences import Change, difference
from experiments.core.policy import domain_flag
from experiments.models import Domain, Flag, PolicyRevision

Author = AbstractBaseUser | AnonymousUser | str


class Publication:
    """The revision that a block published, set at its end; None if it changed nothing."""

    revision: PolicyRevision | None = None


@contextmanager
def revision(author: Author, note: str = "") -> Iterator[Publication]:
    """Everything saved inside is one transaction and, if it changed anything, one revision.

    Raises LockedError if a running experiment forbids the change; then nothing is saved.
    """
    publication = Publication()
    with transaction.atomic():
        lock_configuration()
        yield publication
        publication.revision = publish(author, note)
    store.invalidate()


def publish(author: Author, note: str = "") -> PolicyRevision | None:
    """Stores the current rows as the next revision; returns None if nothing changed."""
    with transaction.atomic():
        _create_missing_flags()
        document = current_document()
        newest = PolicyRevision.objects.order_by("-number").first()
        digest = content_hash(document)
        if newest is not None and newest.content_hash == digest:
            return None
        if newest is not None:
            refuse_locked(newest.document, document)
        number = newest.number + 1 if newest else 1
        build_policy(number, document)
        changes = difference(newest.document if newest else {}, document) if newest else []
        return PolicyRevision.objects.create(
            number=number,
            content_hash=digest,
            document=document,
            difference=[change._asdict() for change in changes],
            author=author if isinstance(author, User) else None,
            author_name=author if isinstance(author, str) else author.get_username(),
            note=note,
        )


def changes_of(row: PolicyRevision) -> list[Change]:
    return [Change(**change) for change in row.difference]


def _create_missing_flags() -> None:
    """Every domain needs a flag for its rollout. A new flag starts at 0 %."""
    for domain in Domain.objects.filter(flag__isnull=True):
        Flag.objects.create(
            key=domain_flag(domain.name),
            kind=Flag.Kind.DOMAIN,
            domain=domain,
            description=f"Routes prompts of the domain {domain}.",
        )


def lock_configuration() -> None:
    """Allows one publication at a time, so that numbers are unique. SQLite has only one writer."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('switchyard-revision'))")
