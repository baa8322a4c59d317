// Opens the pages of a folder in Chromium and checks what only a browser knows. Leaves screenshots there.
//   PAGE_MODULES=…/node_modules node check.mjs FOLDER
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const modules = process.env.PAGE_MODULES;
const require = createRequire(join(modules, "any.js"));
const { default: puppeteer } = await import(pathToFileURL(require.resolve("puppeteer-core")).href);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// A million items must open in this time; Chromium's own start does not count.
const OPEN_MS_MAX = 2000;
const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
const PAGES = ["dry-run", "hidden", "failed", "applied", "restore", "hostile", "million"];

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
});
let checks = 0;

const open = async (name, size, scheme) => {
  const page = await browser.newPage();
  const troubles = [];
  page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
  page.on("pageerror", (error) => troubles.push(String(error)));
  page.on("dialog", (dialog) => { troubles.push("a dialog opened"); dialog.dismiss(); });
  page.on("request", (request) => {
    if (!request.url().startsWith("file:") || request.resourceType() !== "document") troubles.push(`loads ${request.url()}`);
  });
  await page.setViewport({ ...SIZES[size], deviceScaleFactor: 1 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  const begun = performance.now();
  await page.goto(pathToFileURL(join(folder, `${name}.html`)).href, { waitUntil: "load" });
  if (await page.$("#found")) await page.waitForFunction(() => document.getElementById("found").textContent !== "");
  return { page, troubles, took: performance.now() - begun };
};

const text = (page, selector) => page.$eval(selector, (found) => found.textContent);

const axeFinds = async (page) => {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations
    .filter((violation) => ["serious", "critical"].includes(violation.impact))
    .map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target + " " + node.failureSummary).join("; ")}`);
};

const looks = async (name, size, scheme) => {
  const { page, troubles, took } = await open(name, size, scheme);
  const summaries = await page.$$("details.item > summary");
  for (const summary of summaries.slice(0, 2)) await summary.click();
  assert.equal(await page.evaluate(() => window.broken), undefined, `${name}: a script of the data ran`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${name} ${size}: ${wide} pixels wider than the screen`);
  await page.screenshot({ path: join(folder, `${name}-${size}-${scheme}.png`), fullPage: name !== "million" });
  const found = await axeFinds(page);
  assert.deepEqual(found, [], `${name} ${size} ${scheme}: axe`);
  assert.deepEqual(troubles, [], `${name} ${size} ${scheme}`);
  if (name === "million") {
    assert.ok(took < OPEN_MS_MAX, `a million items took ${Math.round(took)} ms to open`);
    console.log(`a million items: open after ${Math.round(took)} ms`);
  }
  await page.close();
  checks += 1;
};

const keyboard = async () => {
  const { page, troubles } = await open("dry-run", "desktop", "light");
  const focused = () => page.evaluate(() => `${document.activeElement.tagName} ${document.activeElement.id} ${document.activeElement.textContent.slice(0, 60)}`);
  await page.keyboard.press("Tab");
  assert.match(await focused(), /Skip to the items/, "the first stop skips to the items");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.match(await focused(), /INPUT search/, "and then comes the search");
  await page.keyboard.type("rivian");
  await page.waitForFunction(() => document.querySelectorAll("#list > details").length === 1);
  assert.match(await text(page, "#found"), /^1 of 407 listed item, 1 shown/);
  for (let stops = 0; stops < 8 && !(await focused()).startsWith("SUMMARY"); stops += 1) await page.keyboard.press("Tab");
  assert.match(await focused(), /SUMMARY {2}\+created: {name: "Rivian"}/);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#list > details[open] table");
  assert.match(await text(page, "#list table"), /founded—2009/);

  await page.keyboard.press("/");
  await page.keyboard.down("Control");
  await page.keyboard.press("A");
  await page.keyboard.up("Control");
  await page.keyboard.press("Backspace");
  await page.waitForFunction(() => document.querySelectorAll("#list > details").length === 25);
  await page.focus("#list summary");
  await page.keyboard.press("ArrowDown");
  const second = await page.evaluate(() => document.activeElement.parentElement === document.getElementById("list").children[1]);
  assert.ok(second, "the arrow goes to the next item");
  await page.focus("#more");
  await page.keyboard.press("Enter");
  assert.equal(await page.$$eval("#list > details", (all) => all.length), 50);
  const next = await page.evaluate(() => document.activeElement.parentElement === document.getElementById("list").children[25]);
  assert.ok(next, "the focus is on the first of those that were added");

  await page.select("#attribute", "origin");
  assert.match(await text(page, "#found"), /^40 of 407 listed items/);
  await page.select("#attribute", "");
  await page.click("input[value='~']");
  assert.match(await text(page, "#found"), /^13 of 407 listed items/);
  await page.type("#search", "no such thing");
  await page.waitForFunction(() => document.querySelectorAll("#list > details").length === 0);
  assert.equal(await text(page, "#found"), "No listed item matches.");
  assert.deepEqual(troubles, []);
  await page.close();
  checks += 1;
};

const paper = async () => {
  const { page } = await open("dry-run", "desktop", "dark");
  const pdf = await page.pdf({ format: "A4", path: join(folder, "dry-run.pdf") });
  assert.ok(pdf.length > 20_000, "there is something on the paper");
  assert.equal(await page.$$eval("#list > details:not([open])", (all) => all.length), 0, "all is open on paper");
  await page.close();
  checks += 1;
};

const without = async () => {
  const page = await browser.newPage();
  await page.setJavaScriptEnabled(false);
  await page.goto(pathToFileURL(join(folder, "dry-run.html")).href);
  assert.match(await text(page, ".plain"), /audi-1970-0/, "the first items are there without scripts");
  await page.close();
  checks += 1;
};

try {
  for (const name of PAGES) {
    for (const size of Object.keys(SIZES)) {
      for (const scheme of ["light", "dark"]) await looks(name, size, scheme);
    }
  }
  await keyboard();
  await paper();
  await without();
  console.log(`${checks} checks of the page passed; screenshots are in ${folder}`);
} finally {
  await browser.close();
}
