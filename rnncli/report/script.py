"""The page's script: tables are sorted and searched. Without it the page has all the same."""

JS = """
const order = new Intl.Collator(undefined, {numeric: true});
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(each => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = [...table.tBodies[0].rows].map(row => [key(row), row]);
    const numbers = rows.some(([, row]) => row.cells[column].dataset.value !== undefined);
    const compare = numbers ? (a, b) => a[0] - b[0] || 0 : (a, b) => order.compare(a[0], b[0]);
    rows.sort((a, b) => up ? compare(a, b) : compare(b, a));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}
for (const input of document.querySelectorAll("input[data-table]")) {
  const rows = document.querySelectorAll(`#${input.dataset.table} tbody tr`);
  const count = document.getElementById(`${input.dataset.table}-count`);
  input.addEventListener("input", () => {
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.includes(input.value);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = input.value ? `${shown} of ${rows.length} rows` : "";
  });
}
const folded = document.querySelectorAll("main > section > details");
addEventListener("beforeprint", () => folded.forEach(each => { each.open = true; }));
"""
