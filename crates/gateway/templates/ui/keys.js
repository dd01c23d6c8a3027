// Keys that go somewhere, wherever nothing is being typed.

export function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    const views = document.querySelectorAll("nav a");
    // The space bar is the number 0, too.
    const view = /^[0-9]$/.test(event.key) ? views[(Number(event.key) + 9) % 10] : undefined;
    const field = document.querySelector("main input:not([type=hidden]), main select, main textarea");
    const pause = document.getElementById("pause");
    if (view) view.click();
    else if (event.key === "/" && field) field.focus();
    else if (event.key === "p" && pause && !pause.hidden) pause.click();
    else return;
    event.preventDefault();
  });
}
