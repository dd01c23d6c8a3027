// What a page does besides being read: it keeps itself up to date, and goes where keys say.
import { follow } from "./live.js";
import { keys } from "./keys.js";

keys();
if (document.getElementById("requests")) {
  const { tail } = await import("./tail.js");
  tail();
} else {
  follow();
}
