"use strict";
// Curves to zoom into: the legend switches each on and off, colours follow the page.
(() => {
  const box = document.getElementById("explore");
  const figure = JSON.parse(document.getElementById("explore-data").textContent);
  const stage = box.querySelector(".stage");

  const draw = () => {
    const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const layout = structuredClone(figure.layout);
    layout.font = { color: shade("--ink"), size: 13, family: getComputedStyle(document.body).fontFamily };
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: shade("--soft"), activecolor: shade("--ink") };
    for (const name of ["xaxis", "yaxis"]) {
      Object.assign(layout[name], { gridcolor: shade("--rule"), zerolinecolor: shade("--rule"), linecolor: shade("--soft") });
    }
    layout.uirevision = "kept";
    // Black stands for the page's own ink, which is light on dark.
    const traces = figure.data.map((trace) =>
      trace.line?.color === "#000000"
        ? { ...trace, line: { ...trace.line, color: shade("--ink") }, marker: { ...trace.marker, color: shade("--ink") } }
        : trace);
    window.Plotly.react(stage, traces, layout, { displaylogo: false, responsive: true });
  };

  box.hidden = false;
  draw();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
