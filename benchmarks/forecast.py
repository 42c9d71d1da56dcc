"""The forecast of `longtail audit` against real trainings: time, memory, steps, and bytes of weights.

Usage: python benchmarks/forecast.py [SETTING ...]   (default: all eight, some minutes; prints a table)

Each forecast and each training has a process of its own. The training is that of the forecast, on the digits, enlarged
where the network wants larger images. Its time is what its loop took, evaluations included; its memory the largest that
the process had. Both run one right after the other, so that a busy machine is about as busy for both.
"""

import json
import resource
import sys
import tempfile
from pathlib import Path

from safetensors import safe_open

from longtail import recipe
from longtail.data import batches
from longtail.planning.cost import cost
from longtail.runs import datamodule
from longtail.training import train
from measure import about, in_own_process, table

_QUICK = {"tensorboard": False, "evaluate_every": 5, "log_every": 1, "data.image_size": 32, "epochs": 5}
_RESNET32 = {"network": {"kind": "resnet32"}, "batch_size": 64}

# What a forecast has to know: one thing each.
SETTINGS: dict[str, tuple[str, dict[str, object]]] = {
    "cross-entropy": ("digits-lt/ce", _RESNET32),
    "hybrid-psc": ("digits-lt/hybrid-psc", _RESNET32),
    "hybrid-sc in chunks": ("digits-lt/hybrid-sc", {**_RESNET32, "method.chunk": 16}),
    "clipped, averaged": ("digits-lt/ce", {**_RESNET32, "clip": 1.0, "ema": 0.99}),
    "accumulated": ("digits-lt/ce", {**_RESNET32, "accumulate": 4}),
    "pruned": ("digits-lt/ce", {**_RESNET32, "pruning.share": 0.5}),
    "small images first": ("digits-lt/ce", {**_RESNET32, "augment.stages": [[0.4, 16], [0.7, 24]]}),
    "muon, wide resnet9": ("digits-lt/ce", {"network": {"kind": "resnet9", "width": 64}, "optimizer.kind": "muon"}),
}


def _settings(name: str) -> recipe.Recipe:
    base, changes = SETTINGS[name]
    return recipe.load(base, {**_QUICK, **changes})


def forecast(name: str) -> dict[str, float]:
    settings = _settings(name)
    data = datamodule.load(settings)
    height, width = batches.stack(data.source, data.train_indices[:1], size=settings.data.image_size).shape[-2:]
    found = cost(
        settings,
        images=int(data.counts.sum()),
        evaluated=500,
        classes=len(data.counts),
        size=(height, width),
        device="cpu",
    )
    return {"seconds": found.seconds, "bytes": found.bytes, "steps": found.steps, "weights": found.weights}


def truth(name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train.train(_settings(name), run, device="cpu")
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        seconds = max(row["seconds"] for row in rows if "seconds" in row)
        with safe_open(run / "model.safetensors", "pt") as weights:
            size = sum(weights.get_tensor(key).nbytes for key in weights.keys())  # noqa: SIM118
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "bytes": peak, "steps": max(row["step"] for row in rows), "weights": size}


def main() -> None:
    match sys.argv[1:]:
        case ["--forecast", name]:
            print(json.dumps(forecast(name)))
        case ["--truth", name]:
            print(json.dumps(truth(name)))
        case names:
            rows = list[list[object]]()
            for name in names or SETTINGS:
                said, was = (json.loads(in_own_process(__file__, kind, name)) for kind in ("--forecast", "--truth"))
                rows.append(
                    [
                        name,
                        *(f"{each['steps']:,}" for each in (said, was)),
                        *(f"{each['seconds']:.1f}" for each in (said, was)),
                        said["seconds"] / was["seconds"],
                        *(f"{each['bytes'] / 1e6:,.0f}" for each in (said, was)),
                        said["bytes"] / was["bytes"],
                        *(f"{each['weights']:,}" for each in (said, was)),
                    ]
                )
            columns = ["setting", "steps, forecast", "real", "seconds, forecast", "real", "ratio", "MB, forecast"]
            print(table([*columns, "real", "ratio", "bytes of weights, forecast", "real"], rows))
            print(f"\n{about()}")


if __name__ == "__main__":
    main()
