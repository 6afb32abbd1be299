"""Models from the Hugging Face hub into one folder: chosen files only, checked for room first.

A connection that breaks is taken up again where it broke; after a stop of the whole program, files that are whole are kept and
the one that was under way begins anew (the hub's client keeps no part of a file).

Blocking; runs where the server or a command starts up. Nothing but JSON, text and safetensors is ever downloaded.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cmstream.core.errors import CmstreamError, NotFound, ResourceExhausted, Unavailable, WeightsRejected
from cmstream.models.latent.extra import optional
from cmstream.models.latent.reference import HubReference

OnProgress = Callable[[int, int], None]
"""Called with bytes present and bytes in all."""

FOLDERS = frozenset(
    {"", "scheduler", "unet", "transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"}
)
TEXTS = frozenset({".json", ".txt", ".model"})
RESERVE_BYTES = 512 << 20
"""Left free on the disk beside the model."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository."""

    path: str
    size: int


class Hub:
    """The hub as seen from one folder. `endpoint` and `token` are HF_ENDPOINT and HF_TOKEN where they are not given."""

    def __init__(self, root: Path, *, offline: bool = False, endpoint: str | None = None, token: str | None = None) -> None:
        self.root = root
        self._offline = offline or os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "ON", "YES", "TRUE"}
        self._endpoint = endpoint
        self._token = token

    def __repr__(self) -> str:
        return f"<Hub {self.root}{', offline' if self._offline else ''}>"

    def folder(self, reference: HubReference) -> Path | None:
        """Where the model lies if it was downloaded. Asks nobody; it may have been downloaded in part only."""
        snapshots = self.root / f"models--{reference.repository.replace('/', '--')}"
        revision = reference.revision or "main"
        named = snapshots / "refs" / revision
        commit = named.read_text().strip() if named.is_file() else revision
        found = snapshots / "snapshots" / commit
        return found if found.is_dir() else None

    def fetch(self, reference: HubReference, on_progress: OnProgress, *, without: frozenset[str] = frozenset()) -> Path:
        """Download what is missing and return the folder; `without` names parts whose weights are not wanted.

        Raises NotFound, WeightsRejected (pickles only), Unavailable (no network, gated), ResourceExhausted (no room).
        """
        if self._offline:
            return self._present(reference)
        with translated(reference, self.root):
            api = optional("huggingface_hub").HfApi(endpoint=self._endpoint, token=self._token)
            about = api.model_info(reference.repository, revision=reference.revision, files_metadata=True)
            files = wanted_files(reference, [RemoteFile(one.rfilename, one.size or 0) for one in about.siblings], without)
            self._check_room(reference, about.sha, files)
            return self._download(reference, about.sha, files, on_progress)

    def fetch_file(self, reference: HubReference, file: str, on_progress: OnProgress) -> Path:
        """One safetensors file of a repository, such as a LoRA. Raises as `fetch` does, and NotFound where it has none such."""
        if not file.endswith(".safetensors"):
            raise NotFound(f"{file[:80]!r} of {reference} is no file of safetensors; see its page on the hub")
        return self.fetch_files(reference, (file,), on_progress) / file

    def fetch_files(self, reference: HubReference, files: Sequence[str], on_progress: OnProgress) -> Path:
        """Files of safetensors and JSON, and the folder that they are in by their paths. Raises as `fetch_file` does."""
        known = self.folder(reference)
        missing = [file for file in files if known is None or not (known / file).is_file()]
        if known is not None and not missing:
            return known
        if self._offline:
            raise Unavailable(
                f"{missing[0]} of {reference} is not downloaded and the hub may not be asked: start it once without offline"
            )
        with translated(reference, self.root):
            api = optional("huggingface_hub").HfApi(endpoint=self._endpoint, token=self._token)
            about = api.model_info(reference.repository, revision=reference.revision, files_metadata=True)
            sizes = {one.rfilename: one.size or 0 for one in about.siblings}
            for file in files:
                if file not in sizes or not file.endswith((".safetensors", ".json")):
                    raise NotFound(f"{reference} has no file {file[:80]!r} of safetensors; see its page on the hub")
            found = [RemoteFile(file, sizes[file]) for file in files]
            self._check_room(reference, about.sha, found)
            return self._download(reference, about.sha, found, on_progress)

    def _present(self, reference: HubReference) -> Path:
        found = self.folder(reference)
        if found is None:
            raise Unavailable(f"{reference} is not downloaded and the hub may not be asked: start it once without offline")
        return found

    def _check_room(self, reference: HubReference, commit: str, files: Sequence[RemoteFile]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        known = self.folder(HubReference(reference.repository, commit))
        missing = sum(one.size for one in files if known is None or not (known / one.path).is_file())
        free = shutil.disk_usage(self.root).free
        if missing and missing + RESERVE_BYTES > free:
            raise ResourceExhausted(
                f"{reference} needs {missing / 1e9:.1f} GB and {self.root} has {free / 1e9:.1f} GB left; free some space, "
                "or name another folder in models.folder"
            )

    def _download(self, reference: HubReference, commit: str, files: Sequence[RemoteFile], on_progress: OnProgress) -> Path:
        download = optional("huggingface_hub").hf_hub_download
        total, present, folder = sum(one.size for one in files), 0, Path()
        on_progress(0, total)
        for one in files:
            at = download(
                reference.repository,
                one.path,
                revision=commit,
                cache_dir=self.root,
                endpoint=self._endpoint,
                token=self._token,
                tqdm_class=_bars(on_progress, present, total),
            )
            folder = Path(at).parents[len(PurePosixPath(one.path).parts) - 1]
            present += one.size
            on_progress(present, total)
        self._remember(reference, commit)
        return folder

    def _remember(self, reference: HubReference, commit: str) -> None:
        """So that the same name finds it offline."""
        named = self.root / f"models--{reference.repository.replace('/', '--')}" / "refs" / (reference.revision or "main")
        if named.name != commit:
            named.parent.mkdir(parents=True, exist_ok=True)
            named.write_text(commit)


def wanted_files(
    reference: HubReference, files: Iterable[RemoteFile], without: frozenset[str] = frozenset()
) -> list[RemoteFile]:
    """Configs, tokenizers and one set of weights of each part, in half precision where there is one.

    Raises WeightsRejected for a repository of pickles, or of something else than a model in diffusers' layout.
    """
    parts: dict[str, list[RemoteFile]] = {}
    for one in files:
        path = PurePosixPath(one.path)
        if len(path.parts) <= 2 and (folder := str(path.parent).removeprefix(".")) in FOLDERS:
            parts.setdefault(folder, []).append(one)
    found: list[RemoteFile] = []
    for folder, inside in sorted(parts.items()):
        found += [one for one in inside if PurePosixPath(one.path).suffix in TEXTS and ".index." not in one.path]
        if folder not in without:
            found += _weights(reference, folder, inside)
    return found


def _weights(reference: HubReference, folder: str, inside: Sequence[RemoteFile]) -> list[RemoteFile]:
    names = [PurePosixPath(one.path).name for one in inside]
    if folder == "" and "model_index.json" in names:
        return []  # single files of the whole model, beside the parts
    safe = [one for one in inside if one.path.endswith(".safetensors") or ".safetensors.index." in one.path]
    for sort in (_is_half, _is_plain):
        if chosen := [one for one in safe if sort(PurePosixPath(one.path).name)]:
            return chosen
    if any(name.endswith((".bin", ".ckpt", ".pt")) for name in names):
        where = folder or "its folder"
        raise WeightsRejected(
            f"{reference}: {where} has pickles only (.bin), which are never read; ask for a revision with .safetensors"
        )
    return []


def _is_half(name: str) -> bool:
    return ".fp16" in name


def _is_plain(name: str) -> bool:
    return name.startswith(("model.", "model-", "diffusion_pytorch_model.", "diffusion_pytorch_model-")) and not any(
        each in name for each in (".non_ema", ".ema", ".bf16")
    )


@contextmanager
def translated(reference: HubReference, root: Path) -> Iterator[None]:
    """Whatever the hub's client raises, as one error of ours that says what to do."""
    errors: Any = optional("huggingface_hub.errors")
    try:
        yield
    except CmstreamError:
        raise
    except errors.GatedRepoError as error:
        raise Unavailable(
            f"{reference} is gated: accept its licence at https://huggingface.co/{reference.repository}, then set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFound(f"{reference.repository} has no revision {reference.revision}; leave it away for the newest") from error
    except errors.RepositoryNotFoundError as error:
        raise NotFound(
            f"the hub has no model {reference.repository}, or it is private: check the name, or set HF_TOKEN"
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ResourceExhausted(
                f"the disk of {root} is full; free some space and start again: files that are whole are kept"
            ) from error
        raise _unreachable(reference, error) from error
    except Exception as error:  # the edge: what the HTTP client below it raises differs between its releases
        raise _unreachable(reference, error) from error


def _unreachable(reference: HubReference, error: Exception) -> Unavailable:
    said = " ".join(str(error).split())[:160] or type(error).__name__
    return Unavailable(
        f"{reference} could not be downloaded ({said}); check the network and start again: files that are whole are kept"
    )


class _Bar:
    """What the hub's client takes for a progress bar; calls `told` with the bytes of the file so far."""

    def __init__(self, told: Callable[[int], None], initial: int) -> None:
        self._told = told
        self._so_far = initial
        told(initial)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is left on the screen."""

    def update(self, count: float | None = 1) -> None:
        self._so_far += int(count or 0)
        self._told(self._so_far)


def _bars(on_progress: OnProgress, before: int, total: int) -> Callable[..., _Bar]:
    """In place of a class of bars: it is called as tqdm would be."""
    return lambda *_, initial=0, **__: _Bar(lambda so_far: on_progress(before + so_far, total), int(initial or 0))
