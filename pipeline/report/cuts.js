"use strict";
// Linked cuts: one canvas for each pair of axes, all through one point. Moving the point in one
// canvas, or with a slider, moves the others.
(() => {
  const box = document.getElementById("explore");
  const data = JSON.parse(document.getElementById("explore-data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const { axes } = data;
  const sizes = axes.map((axis) => axis.labels.length);
  const strides = sizes.map((_, i) => sizes.slice(i + 1).reduce((a, b) => a * b, 1));
  const palettes = {};
  for (const [name, text] of Object.entries(data.palettes)) palettes[name] = bytes(text);
  const layers = data.layers.map((layer) => ({ ...layer, codes: new Uint16Array(bytes(layer.codes).buffer) }));
  const NOT_FINITE = 65535;
  const MARGIN = { left: 58, right: 12, top: 10, bottom: 44 };
  const point = axes.map((axis) => axis.home);
  let layer = layers[data.start];

  const colour = (code) => {
    if (code === NOT_FINITE) return data.grey;
    const palette = palettes[layer.palette];
    const at = 3 * Math.round((code / (NOT_FINITE - 1)) * 255);
    return `rgb(${palette[at]},${palette[at + 1]},${palette[at + 2]})`;
  };

  const value = (code) => {
    if (code === NOT_FINITE) return "no finite value";
    const share = code / (NOT_FINITE - 1);
    const number = layer.decades
      ? layer.low * (layer.high / layer.low) ** share
      : layer.low + share * (layer.high - layer.low);
    // Only a scale that is cut hides values beyond its ends.
    const above = code === NOT_FINITE - 1 && layer.extend !== "neither";
    const below = code === 0 && layer.extend === "both";
    const prefix = above ? "≥ " : below ? "≤ " : "";
    return prefix + number.toPrecision(4).replace("-", "−");
  };

  const offset = (skip) => point.reduce((sum, i, axis) => (skip.includes(axis) ? sum : sum + i * strides[axis]), 0);

  const makePanel = (h, v) => {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Cut over ${axes[h].name} and ${axes[v].name}`);
    box.querySelector(".stage").append(canvas);
    const area = () => {
      const { width, height } = canvas.getBoundingClientRect();
      return {
        x: MARGIN.left, y: MARGIN.top,
        w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom,
      };
    };
    const along = (borders, share) => {
      const found = borders.findIndex((border) => border > share);
      return Math.min(borders.length - 2, Math.max(0, (found < 0 ? borders.length : found) - 1));
    };
    const move = (event) => {
      const frame = canvas.getBoundingClientRect();
      const { x, y, w, h: tall } = area();
      point[h] = along(axes[h].borders, (event.clientX - frame.left - x) / w);
      point[v] = along(axes[v].borders, 1 - (event.clientY - frame.top - y) / tall);
      drawAll();
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); move(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) move(event); });
    return { canvas, draw: () => drawPanel(canvas, h, v, area()) };
  };

  const drawPanel = (canvas, h, v, area) => {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    const px = (share) => Math.round((area.x + share * area.w) * ratio);
    const py = (share) => Math.round((area.y + (1 - share) * area.h) * ratio);
    const base = offset([h, v]);
    for (let i = 0; i < sizes[h]; i += 1) {
      const left = px(axes[h].borders[i]);
      const wide = px(axes[h].borders[i + 1]) - left;
      for (let j = 0; j < sizes[v]; j += 1) {
        const top = py(axes[v].borders[j + 1]);
        pen.fillStyle = colour(layer.codes[base + i * strides[h] + j * strides[v]]);
        pen.fillRect(left, top, wide, py(axes[v].borders[j]) - top);
      }
    }
    pen.scale(ratio, ratio);
    drawHairs(pen, h, v, area);
    drawAxes(pen, h, v, area);
  };

  const drawHairs = (pen, h, v, area) => {
    const middle = (axis, i) => (axis.borders[i] + axis.borders[i + 1]) / 2;
    const x = area.x + middle(axes[h], point[h]) * area.w;
    const y = area.y + (1 - middle(axes[v], point[v])) * area.h;
    // A dark line under a light one: visible on any colour.
    for (const [style, width] of [["rgba(0,0,0,.55)", 3], ["white", 1.2]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.beginPath();
      pen.moveTo(x, area.y); pen.lineTo(x, area.y + area.h);
      pen.moveTo(area.x, y); pen.lineTo(area.x + area.w, y);
      pen.stroke();
    }
  };

  const drawAxes = (pen, h, v, area) => {
    const look = getComputedStyle(document.body);
    pen.fillStyle = look.color;
    pen.strokeStyle = look.color;
    pen.lineWidth = 1;
    pen.strokeRect(area.x, area.y, area.w, area.h);
    pen.font = `11px ${look.fontFamily}`;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const [share, text] of axes[h].ticks) pen.fillText(text, area.x + share * area.w, area.y + area.h + 5);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const [share, text] of axes[v].ticks) pen.fillText(text, area.x - 6, area.y + (1 - share) * area.h);
    pen.font = `600 12px ${look.fontFamily}`;
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    pen.fillText(axes[h].name, area.x + area.w / 2, area.y + area.h + MARGIN.bottom - 4);
    pen.save();
    pen.translate(12, area.y + area.h / 2);
    pen.rotate(-Math.PI / 2);
    pen.textBaseline = "middle";
    pen.fillText(axes[v].name, 0, 0);
    pen.restore();
  };

  const sliders = axes.map((axis, number) => {
    const row = document.createElement("label");
    const name = document.createElement("span");
    name.textContent = axis.name;
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0, max: sizes[number] - 1, step: 1 });
    const output = document.createElement("output");
    slider.addEventListener("input", () => { point[number] = Number(slider.value); drawAll(); });
    row.append(name, slider, output);
    box.querySelector(".sliders").append(row);
    return { slider, output };
  });

  const button = (label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.addEventListener("click", () => { act(); drawAll(); });
    box.querySelector(".choices").append(made);
    return made;
  };
  const choices = layers.map((each) => button(each.label, () => { layer = each; }));
  button(`Back to ${data.home}`, () => axes.forEach((axis, i) => { point[i] = axis.home; })).className = "quiet";

  const drawKey = () => {
    const palette = palettes[layer.palette];
    const stops = Array.from({ length: 17 }, (_, i) => 3 * Math.round((i * 255) / 16))
      .map((at) => `rgb(${palette[at]},${palette[at + 1]},${palette[at + 2]})`);
    box.querySelector(".ramp").style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const written = (number) => number.toPrecision(4).replace("-", "−");
    box.querySelector(".low").textContent = written(layer.low);
    box.querySelector(".high").textContent = written(layer.high);
    box.querySelector(".reading").textContent =
      `${layer.label} here: ${value(layer.codes[offset([])])}${layer.decades ? " (logarithmic colours)" : ""}`;
  };

  let waiting = false;
  const drawAll = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      panels.forEach((panel) => panel.draw());
      sliders.forEach(({ slider, output }, i) => {
        slider.value = point[i];
        output.textContent = axes[i].labels[point[i]];
      });
      choices.forEach((choice, i) => choice.setAttribute("aria-pressed", String(layers[i] === layer)));
      drawKey();
    });
  };

  box.hidden = false;
  const panels = axes.flatMap((_, h) => axes.slice(h + 1).map((__, k) => makePanel(h, h + 1 + k)));
  drawAll();
  window.addEventListener("resize", drawAll);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
