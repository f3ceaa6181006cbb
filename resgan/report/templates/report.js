// Conveniences of the page, which reads without them: sorted tables, copied commands, hints only where a table is cut.
"use strict";
document.documentElement.classList.add("scripted");
const said = document.getElementById("said");

function numberIn(text) {
  const found = text.replaceAll("\u2212", "-").match(/[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?/i);
  return found ? Number(found[0].replaceAll(",", "")) : NaN;
}

function compare(a, b, numeric) {
  if (!numeric) return a.localeCompare(b, "en", { numeric: true });
  const [x, y] = [numberIn(a), numberIn(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : x - y;
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  if (original.length < 2) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const cells = original.map(row => row.cells[column].textContent);
    const numeric = column > 0 && cells.some(cell => !Number.isNaN(numberIn(cell)));
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort") ?? "none"];
      for (const other of heads) other.removeAttribute("aria-sort");
      const rows = [...original];
      if (next !== "none") {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        rows.sort((a, b) => sign * compare(a.cells[column].textContent, b.cells[column].textContent, numeric));
      }
      body.append(...rows);
    });
  });
}

async function copy(text, source) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    source.parentElement.open = true;
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

for (const details of document.querySelectorAll(".behind")) {
  const source = details.querySelector("pre");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy the commands";
  button.setAttribute("aria-label", "Copy the c" + source.getAttribute("aria-label").slice(1));
  button.addEventListener("click", async () => {
    const copied = await copy(source.textContent, source);
    said.textContent = copied ? "The commands are copied." : "The commands are selected; copy them with the keyboard.";
    button.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy the commands"; said.textContent = ""; }, 2000);
  });
  details.before(button);
}

function markWhatIsCut() {
  for (const scroll of document.querySelectorAll(".scroll")) {
    const cut = scroll.scrollWidth > scroll.clientWidth + 1;
    scroll.classList.toggle("cut", cut);
    if (cut) scroll.tabIndex = 0;
    else scroll.removeAttribute("tabindex");
  }
}

markWhatIsCut();
addEventListener("resize", markWhatIsCut);
