"""`python -m cmstream.cli.gpu_latent`: latent models at their true shapes beside their rivals, as JSON. `make gpu` runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def gpu_latent(
    out: Annotated[Path, typer.Option(help="Folder for latent-SHAPE.json.")],
    shapes: Annotated[list[str], typer.Option("--shape", help="sd-turbo or sdxl-turbo; may be repeated.")] = ["sd-turbo"],  # noqa: B006  # typer copies it
    sides: Annotated[list[int], typer.Option("--side", min=64, max=1024, help="May be repeated; a multiple of 64.")] = [512],  # noqa: B006
    batches: Annotated[list[int], typer.Option("--batch", min=1, max=64, help="May be repeated.")] = [1, 8],  # noqa: B006
    seconds: Annotated[float, typer.Option(min=0.05, max=600, help="How long each figure is measured.")] = 2.0,
    precision: Annotated[str, typer.Option(help="float16, bfloat16 or float32.")] = "float16",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Measure what is compiled as well.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where a promise is not kept.")] = False,
) -> None:
    """Measure the direct path against diffusers as documented, that compiled, and a published server's loop, in one run."""
    from cmstream.bench.latent_bench import Compilers, LatentCourse, measure_latent

    course = LatentCourse(tuple(sides), tuple(batches), seconds)
    out.mkdir(parents=True, exist_ok=True)
    short = 0
    for shape in shapes:
        compilers = Compilers() if compiled else None
        result = measure_latent(device, precision, shape, course, compilers, tell=_tell)
        (out / f"latent-{shape}.json").write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
        print(f"{shape}: {result.matrix_tflops:.4g} TFLOP/s of matrix products, {result.device}, {precision}")
        for each in result.figures:
            codec = "with codec" if each.has_codec else "no codec"
            print(
                f"  {each.contestant}, {each.side_px}², batch {each.batch}, {codec}: {each.fps:.4g} frames/s, "
                f"p50 {each.latency_ms.p50:.4g} ms, {each.of_limit:.3f} of the limit"
            )
        for one in result.steps:
            print(
                f"  {one.steps} steps a frame, {one.side_px}², one stream: {one.shared_fps:.4g} frames/s of {one.under_way} "
                f"that share evaluations, {one.gain:.2f}× frame after frame, and {one.aging:.2f}× as old"
            )
        for words in result.falls_short():
            short += 1
            print(f"  falls short: {words}")
    if strict and short:
        raise typer.Exit(1)


def _tell(name: str) -> None:
    typer.echo(f"measuring {name} …", err=True)


if __name__ == "__main__":
    typer.run(gpu_latent)
