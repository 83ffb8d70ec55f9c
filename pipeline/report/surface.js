"use strict";
// A surface to turn: buttons choose which one, colours follow the page.
(() => {
  const box = document.getElementById("explore");
  const { figure, owners, choices, start } = JSON.parse(document.getElementById("explore-data").textContent);
  const bar = box.querySelector(".choices");
  const stage = box.querySelector(".stage");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = start;

  const themed = () => {
    const ink = getComputedStyle(document.body).color;
    const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const rule = shade("--rule");
    const layout = structuredClone(figure.layout);
    layout.font = { color: ink, size: 12, family: getComputedStyle(document.body).fontFamily };
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: shade("--soft"), activecolor: ink };
    layout.paper_bgcolor = "rgba(0,0,0,0)";
    for (const name of ["xaxis", "yaxis", "zaxis"]) {
      Object.assign(layout.scene[name], { gridcolor: rule, zerolinecolor: rule, linecolor: rule });
    }
    layout.uirevision = "kept";
    return layout;
  };

  // On dark paper black lines and their white casings change places.
  const swapped = { "#000000": "white", white: "#000000" };
  const turned = (colour) => (Array.isArray(colour) ? colour.map(turned) : swapped[colour] || colour);
  const worn = (trace) => {
    if (!dark.matches || !trace.legendgroup) return {};
    const { line, marker } = trace;
    return {
      ...(line && { line: { ...line, color: turned(line.color) } }),
      ...(marker && { marker: { ...marker, color: turned(marker.color), line: { ...marker.line, color: turned(marker.line.color) } } }),
    };
  };

  // What the reader took away in the legend stays away when another surface is chosen.
  const draw = () => {
    const away = new Set((stage.data || []).flatMap((trace) =>
      (trace.visible === "legendonly" && trace.legendgroup ? [trace.legendgroup] : [])));
    const traces = figure.data.map((trace, i) => ({
      ...trace, ...worn(trace), visible: owners[i] === chosen && (away.has(trace.legendgroup) ? "legendonly" : true),
    }));
    window.Plotly.react(stage, traces, themed(), { displaylogo: false, responsive: true });
    bar.querySelectorAll("button").forEach((button, i) =>
      button.setAttribute("aria-pressed", String(i === chosen)));
  };

  choices.forEach((label, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => { chosen = i; draw(); });
    bar.append(button);
  });
  box.hidden = false;
  draw();
  dark.addEventListener("change", draw);
})();
