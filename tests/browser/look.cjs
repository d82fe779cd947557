// Looks at pages in a real Chromium, as tests/end_to_end/browser.rs asks: each wide and on a phone, light and dark.
// Reads {base, user, password, pages: [{name, path}], shots} as JSON; says what is wrong, a line each.
"use strict";

const { chromium } = require("playwright-core");
const axe = require("axe-core").source;
const fs = require("node:fs");

const LOOKS = [
    { look: "wide-light", viewport: { width: 1280, height: 900 }, colorScheme: "light" },
    { look: "wide-dark", viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
    { look: "phone-light", viewport: { width: 390, height: 844 }, colorScheme: "light" },
    { look: "phone-dark", viewport: { width: 390, height: 844 }, colorScheme: "dark" },
];

async function main() {
    const wanted = JSON.parse(fs.readFileSync(0, "utf8"));
    const credentials = wanted.password ? { username: wanted.user, password: wanted.password } : undefined;
    const browser = await chromium.launch({
        executablePath: wanted.chromium,
        // Tests run as root, where its sandbox can't; it sees nothing but our own pages.
        args: ["--no-sandbox", "--disable-gpu", "--no-first-run"],
    });
    const wrong = [];
    for (const { look, ...emulated } of LOOKS) {
        const context = await browser.newContext({ ...emulated, httpCredentials: credentials });
        for (const { name, path } of wanted.pages) {
            const page = await context.newPage();
            const complain = (what) => wrong.push(`${name} ${look}: ${what}`);
            page.on("console", (message) => complain(`the console says: ${message.text()}`));
            page.on("requestfailed", (request) => complain(`not fetched: ${request.url()}`));
            const response = await page.goto(wanted.base + path, { waitUntil: "load" });
            if (response.status() !== 200) complain(`status ${response.status()}`);
            // What is looked at is what one sees without JavaScript: there is none.
            const scripts = await page.evaluate(() => document.scripts.length);
            if (scripts > 0) complain(`${scripts} scripts`);
            await page.evaluate(axe);
            const found = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
            for (const { id, impact, help, nodes } of found.violations) {
                complain(`${impact}: ${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html).join(" ")}`);
            }
            if (found.passes.length < 10) complain(`axe looked at next to nothing: ${found.passes.length}`);
            const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (wider > 0) complain(`${wider} pixels wider than the window`);
            const keyboard = await tabbed(page);
            if (keyboard) complain(keyboard);
            if (wanted.shots) await page.screenshot({ path: `${wanted.shots}/${name}-${look}.png`, fullPage: true });
            await page.close();
        }
        await context.close();
    }
    await browser.close();
    wrong.forEach((line) => console.log(line));
    console.log(`${wanted.pages.length} pages looked at in ${LOOKS.length} ways, ${wrong.length} things wrong`);
}

// The first Tab leads to the link that skips what is above the content, and each further one to the next link, seen.
async function tabbed(page) {
    const links = await page.evaluate(() => document.querySelectorAll("a[href]").length);
    for (let link = 0; link < links; link += 1) {
        await page.keyboard.press("Tab");
        const is = await page.evaluate((place) => {
            const on = document.activeElement;
            const box = on.getBoundingClientRect();
            return {
                next: on === document.querySelectorAll("a[href]")[place],
                seen: box.width > 0 && box.right > 0 && getComputedStyle(on).outlineStyle !== "none",
                text: on.textContent,
            };
        }, link);
        if (!is.next || !is.seen) return `Tab ${link + 1} comes to ${JSON.stringify(is)}`;
    }
    await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
    return null;
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
