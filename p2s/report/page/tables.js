"use strict";
// Tables sort by a click on a column's name, and long ones show the rows that hold what is typed above them.
const LONG = 8; // rows

// What a cell sorts by: its number where it begins with one, else its words; a dash comes last.
function key(row, column) {
  const words = (row.cells[column]?.textContent ?? "").trim().replaceAll("−", "-");
  const number = parseFloat(words);
  return { blank: words === "" || words === "–", number, words: words.toLowerCase() };
}

function order(one, other, way) {
  if (one.blank || other.blank) return one.blank - other.blank;
  if (isNaN(one.number) || isNaN(other.number)) return way * one.words.localeCompare(other.words);
  return way * (one.number - other.number);
}

function sort(table, head) {
  const way = head.ariaSort === "descending" ? 1 : -1; // at first the largest is on top
  for (const other of table.tHead.querySelectorAll("th")) other.ariaSort = null;
  head.ariaSort = way === 1 ? "ascending" : "descending";
  const rows = [...table.tBodies[0].rows].map((row) => [key(row, head.cellIndex), row]);
  rows.sort(([one], [other]) => order(one, other, way));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    const keys = [...table.tBodies[0].rows].map((row) => key(row, head.cellIndex));
    const isOfWords = keys.some((one) => !one.blank) && keys.every((one) => one.blank || isNaN(one.number));
    if (isOfWords) for (const row of table.rows) row.cells[head.cellIndex]?.classList.add("words");
    if (!head.textContent.trim()) continue;
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head));
    head.append(button);
  }
}

function makeFilter(table) {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = field.ariaLabel = "filter rows";
  field.addEventListener("input", () => {
    const asked = field.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows)
      row.hidden = !asked.every((word) => row.textContent.toLowerCase().includes(word));
  });
  (table.closest(".wide") ?? table).before(field);
}

for (const table of document.querySelectorAll("main table")) {
  // Cells that span several have no column of their own.
  if (table.tHead?.rows.length !== 1 || table.querySelector("tbody [rowspan], [colspan]")) continue;
  if (table.tBodies[0]?.rows.length > 1) makeSortable(table);
  if (table.tBodies[0]?.rows.length >= LONG) makeFilter(table);
}
