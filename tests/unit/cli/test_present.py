"""What machines read of a failure, and what people find on their disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import typer

from adapters.kit.sealing import OpenedDocument
from adapters.protocol import Category
from adapters.requester import GatewayRefused, OpenedDossier, RequesterError, StillWaiting
from gateway.cli.present import fail_with
from gateway.cli.request import _save


def said(error: RequesterError, capsys: pytest.CaptureFixture[str]) -> Mapping[str, str]:
    with pytest.raises(typer.Exit):
        fail_with(error, as_json=True)
    found: Mapping[str, str] = json.loads(capsys.readouterr().out)
    assert {"code", "message", "next_step"} <= set(found)
    return found


def test_a_request_that_goes_on_is_named_by_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(StillWaiting("exchange-1", 60), capsys)["id"] == "exchange-1"
    away = GatewayRefused(503, {"code": "source_unavailable", "id": "exchange-2"})
    assert said(away, capsys)["id"] == "exchange-2"
    refused = said(GatewayRefused(403, {"code": "not_on_case", "paragraph": "art. 4"}), capsys)
    assert (refused["paragraph"], "id" in refused) == ("art. 4", False)


@pytest.mark.parametrize(
    ("name", "media_type", "file"),
    [
        ("beschikking", "application/pdf", "001-beschikking.pdf"),
        ("beschikking.pdf", "application/pdf", "001-beschikking.pdf"),
        ("BESCHIKKING.PDF", "application/pdf", "001-BESCHIKKING.PDF"),
        ("beschikking.exe", "application/pdf", "001-beschikking.exe.pdf"),
        ("foto", "image/jpeg", "001-foto.jpg"),
        ("iets", "application/octet-stream", "001-iets"),
        ("../../etc/passwd", "text/plain", "001-passwd.txt"),
        ("", "application/pdf", "001-document.pdf"),
    ],
)
def test_a_saved_paper_opens_with_the_right_program(
    tmp_path: Path, name: str, media_type: str, file: str
) -> None:
    document = OpenedDocument(Category.DECISIONS, "exchange-1", media_type, name, b"content")
    dossier = cast(OpenedDossier, type("Dossier", (), {"documents": (document,)})())
    assert _save(dossier, tmp_path / "papers") == [tmp_path / "papers" / file]
    assert (tmp_path / "papers" / file).read_bytes() == b"content"
