// Filters the claims by study, verdict and text; without this script all of them are shown.
"use strict";
{
  const form = document.querySelector("form.filter");
  const bodies = [...document.querySelectorAll("table.every tbody")];
  const total = document.querySelectorAll("table.every tr.line").length;

  const show = () => {
    const { study, said, text } = Object.fromEntries(new FormData(form));
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const body of bodies) {
      let here = 0;
      for (const row of body.querySelectorAll("tr.line")) {
        const content = row.textContent.toLowerCase();
        const fits = (!study || body.dataset.study === study)
          && (!said || row.dataset.said === said)
          && words.every((word) => content.includes(word));
        row.hidden = !fits;
        here += fits;
      }
      body.hidden = here === 0 && Boolean(study || said || words.length);
      shown += here;
    }
    form.querySelector("output").textContent = `${shown} of ${total}`;
  };

  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
}
