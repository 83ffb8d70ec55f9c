"""A survey of a network of one's own, from Python: `python examples/survey.py`, 10 to 20 seconds.

Each `# %%` begins a cell where an editor shows cells. Everything is written to the folder `survey`.
"""
# ruff: noqa: T201 - a script prints

# %% Two networks of the same shape, trained apart on handwritten digits
from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch
import xarray as xr
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pipeline import analyse, export, scan

torch.set_num_threads(1)
FOLDER = Path("survey")
FOLDER.mkdir(exist_ok=True)

digits = load_digits()
inputs = torch.from_numpy(digits.data).float() / 16
targets = torch.from_numpy(digits.target)
held_out = torch.arange(len(inputs)) % 5 == 4
data = {
    "train": (inputs[~held_out], targets[~held_out]),
    "test": (inputs[held_out], targets[held_out]),
}


def network() -> nn.Module:
    """Digits (N, 64) → logits (N, 10)."""
    return nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    )


def trained(seed: int, epochs: int = 20) -> tuple[nn.Module, list[dict[str, Tensor]]]:
    """A network, and its state dict before training and after every second epoch."""
    torch.manual_seed(seed)
    model = network()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    run = []
    x, y = data["train"]
    for epoch in range(epochs):
        if epoch % 2 == 0:
            run.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        for batch in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
    run.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    return model.eval(), run


model, run = trained(seed=1)
other, other_run = trained(seed=2)

# %% Its surroundings: random directions normalised filter by filter (Li et al. 2018), out to where
# the loss is ten times that of the trained network
plane = scan(
    model,
    data,
    directions="filter",
    axes={"alpha": {"rise": 10, "num": 41}, "beta": {"rise": 10, "num": 41}},
    metrics=("loss", "accuracy"),
    store=FOLDER / "plane.zarr",
)
shape = analyse(FOLDER / "plane.zarr").sel(split="train")
reach = [float(plane[axis].max()) for axis in ("alpha", "beta")]
print(f"loss at the network             {float(shape['origin_loss']):.4f}")
print(f"ten times that, at              alpha ±{reach[0]:.3g}, beta ±{reach[1]:.3g}")
print(f"convex at                       {float(shape['shape_convexity']):.0%} of the inner points")
print(f"minima inside the plane         {int(shape['shape_minima'])}")

# %% The way to the other network, as it is and with its hidden units permuted to match (Ainsworth
# et al. 2022)
lines: dict[str, xr.Dataset] = {}
for name, align in (("as trained", False), ("aligned", True)):
    store = FOLDER / f"{name.replace(' ', '-')}.zarr"
    lines[name] = scan(
        model,
        data,
        path=other,
        align=align,
        axes={"t": (0, 1, 101)},
        metrics=("loss", "accuracy"),
        store=store,
    )
    found = analyse(store).sel(split="test")
    print(f"barrier on the line, {name:<11}{float(found['barrier']):.3f} (test)")

# %% The directions of greatest and of least curvature, and the curvature along them
steep = scan(
    model,
    data,
    directions={"kind": "hessian", "top": 1, "bottom": 1},
    axes={"steepest": (-0.5, 0.5, 7), "flattest": (-0.5, 0.5, 7)},
    metrics=("loss", "section_hessian"),
    dtype="float64",
)
middle = steep.sel(split="train").sel(steepest=0, flattest=0, method="nearest")
for axis in ("steepest", "flattest"):
    curvature = float(middle["section_hessian"].sel(axis=axis, axis_other=axis))
    print(f"curvature, {axis:<21}{curvature:.4g}")

# %% Both runs in the plane of the first one's principal components
course = scan(
    model,
    data,
    directions={"kind": "pca", "checkpoints": run},
    trajectories={"this run": run, "the other": other_run},
    axes={"first": (-3, 12, 46), "second": (-5, 5, 31)},
    store=FOLDER / "course.zarr",
)
steps = xr.open_zarr(FOLDER / "course.zarr", group="trajectories").load()
for name in ("this run", "the other"):
    start = steps.isel(checkpoint=steps["run"].values == name).isel(checkpoint=0)
    print(f"start of {name:<23}{float(start['distance']):.3g} away from the plane")

# %% A picture, and everything of the plane as one interactive page
figure, (around, across, along) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
plane["loss"].sel(split="train").plot.contourf(
    ax=around, x="alpha", y="beta", levels=20, cbar_kwargs={"label": "loss (train)"}
)
around.set(title="around the network", xlabel="alpha", ylabel="beta")
for name, line in lines.items():
    line["loss"].sel(split="test").plot.line(ax=across, label=name)
across.set(title="to the other network", xlabel="t", ylabel="loss (test)")
across.legend()
course["loss"].sel(split="train").plot.contour(ax=along, x="first", y="second", levels=20)
way = steps["coordinate"].isel(checkpoint=steps["run"].values == "this run")
along.plot(way.sel(axis="first"), way.sel(axis="second"), "o-", color="black", markersize=4)
along.set(title="the run, in its own plane", xlabel="first", ylabel="second")
figure.savefig(FOLDER / "survey.png", dpi=110)
page = export(FOLDER / "plane.zarr", format="html").files[0]
print(f"written                         {FOLDER / 'survey.png'}, {page}")
