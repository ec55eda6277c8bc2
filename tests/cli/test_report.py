#!/usr/bin/python3
# A report of `lsengine evaluate` in Chromium: no request, no message, nothing wider than the page. SPDX-License-Identifier: MIT
# test_report.py PROGRAM. Needs Chromium, its driver and python3-selenium (Debian's); skipped without them.
import json
import os
import subprocess
import sys
import tempfile

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
except ImportError:
    print("no selenium\ntally: 0 passed, 0 failed, 1 skipped")
    sys.exit(0)
browser, driver_path = "/usr/bin/chromium", "/usr/bin/chromedriver"
if not (os.path.exists(browser) and os.path.exists(driver_path)):
    print("no Chromium\ntally: 0 passed, 0 failed, 1 skipped")
    sys.exit(0)

passed = failed = 0


def check(name, good, told=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(("ok      " if good else "FAILED  ") + name, told if not good else "")


with tempfile.TemporaryDirectory() as folder:
    make = """local ls = require "lsengine"
local rng = ls.rng(1)
local y = rng:integers(0, 9, 400)
local files = require "lsengine.c.files"
local function model(strength) return ls.tensor.randn(400, 10, { rng = rng }) + ls.tensor.one_hot(y, 10) * strength end
files.save_npz("save", "run.npz", { "logits", "labels", "embeddings" }, { logits = model(3), labels = y, embeddings = model(2) })
files.save_npz("save", "other.npz", { "logits" }, { logits = model(2) })
files.save_npz("save", "gallery.npz", { "embeddings", "labels" }, { embeddings = model(2), labels = y })
local f <close> = io.open("names.txt", "w")
for k = 1, 10 do f:write(("<script>alert(%d)</script> a class of a long name '%d' & more\\n"):format(k, k)) end"""
    with open(os.path.join(folder, "make.lua"), "w") as file:
        file.write(make)
    program = os.path.abspath(sys.argv[1])
    subprocess.run([program, "run", "--quiet", "make.lua"], cwd=folder, check=True)
    subprocess.run([program, "evaluate", "--logits", "run.npz", "--labels", "run.npz", "--class-names", "names.txt", "--report", "out",
                    "--embeddings", "run.npz", "--gallery", "gallery.npz", "--gallery-labels", "gallery.npz", "--compare", "other.npz"],
                   cwd=folder, check=True, stdout=subprocess.DEVNULL)
    options = Options()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        url = "file://" + os.path.join(folder, "out", "report.html")
        for mode in ("light", "dark"):
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": mode}]})
            for width in (360, 800, 1300):
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False})
                driver.get(url)
                wide = driver.execute_script("return document.documentElement.scrollWidth")
                check(f"{mode}, {width} wide: nothing is wider than the page", wide <= width, wide)
            paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
            check(f"{mode}: the page's paper", paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 24, 28)"}[mode], paper)
            ink = driver.execute_script("let t=document.querySelector('svg.lsplot text');return t?getComputedStyle(t.parentNode).fill:''")
            check(f"{mode}: the figures' ink", ink in ("", {"light": "rgb(26, 26, 26)", "dark": "rgb(233, 233, 236)"}[mode]), ink)
        parts = driver.execute_script("return [...document.querySelectorAll('section')].map(e=>e.id).join(' ')")
        check("all parts are there", parts == "classification calibration selective comparison representation retrieval", parts)
        twice = driver.execute_script("let s={},n=0;document.querySelectorAll('[id]').forEach(e=>{n+=!!s[e.id];s[e.id]=1});return n")
        check("no id occurs twice", twice == 0, twice)
        check("no script is in it", driver.execute_script("return document.scripts.length") == 0)
        pdf = driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
        check("it can be printed", len(pdf) > 20000)
        events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        other = [u for u in asked if u != url and not u.startswith("data:")]
        check("it asks for itself alone", url in asked and not other, other)
        messages = driver.get_log("browser")
        check("the console is silent", not messages, messages)
        driver.execute_script("console.error('seen')")
        check("a message would have been seen", len(driver.get_log("browser")) == 1)
    finally:
        driver.quit()

print(f"tally: {passed} passed, {failed} failed, 0 skipped")
sys.exit(failed > 0)
