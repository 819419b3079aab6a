"""The last step of the story: an auditor with a file and a public key."""

from __future__ import annotations

import json

from gateway.cli.facts import Facts, StepFailed
from gateway.cli.world import World
from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.verify import Report, UnverifiedBundle, read_bundle, verify_bundle, verify_file


async def verify_the_ledger(world: World) -> Facts:
    """Copy the ledger as ASKV, which owes nobody anything, and verify it offline."""
    facts = world.take_notes()
    copy = await world.requesters["askv"].copy_ledger()
    file = world.folder / "ledger.json"
    file.write_text(json.dumps(copy.bundle(), indent=1) + "\n", encoding="utf-8")
    register = json.loads((world.deployment["askv"].deployment_folder / "register.json").read_bytes())
    vkey = register["ledger"]["vkey"]
    receipts = [proven.receipt.model_dump(exclude_none=True) for proven in world.receipts]

    try:
        report: Report = verify_file(file, vkey, earlier=[world.kept_checkpoint], receipts=receipts)
    except LedgerDoesNotVerify as refused:
        raise StepFailed(f"the ledger does not verify: {refused}") from refused
    facts.check(
        report.checkpoint.size == len(copy.entries),
        f"{report.checkpoint.size} entries stand under the checkpoint that the ledger signed",
    )
    facts.check(bool(report.earlier), "they continue the checkpoint that VluchtelingenWerk kept in step 4")
    facts.check(
        len(report.receipts) == len(receipts) > 0,
        f"each of the {len(receipts)} receipts opens the entry that it names",
    )
    bundle = read_bundle(file)
    forged = [*bundle.entries[:-1], bundle.entries[0]]
    try:
        verify_bundle(UnverifiedBundle(bundle.checkpoint, forged), vkey)
    except LedgerDoesNotVerify as refused:
        facts.check(True, "one entry exchanged for another, and the file verifies no more")
        facts.values["refused"] = str(refused)
    else:
        raise StepFailed("a ledger with a forged entry verifies")
    facts.values |= {"entries": report.checkpoint.size, "file": str(file), "vkey": vkey}
    return facts
