#!/usr/bin/python3
"""The dashboard in a real browser, as an administrator meets it.

Usage: horizon.py SITE PICTURE, for a site that is deployed; the picture is of the page that lists demo1.
"""

import contextlib
import os
import sys

import flat
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from lab import expect

# A first page may have to wait for workers that still load.
PATIENCE = 90
LOGIN = "auth/login"


@contextlib.contextmanager
def browser():
    # The driver listens on this machine, which is not to be reached through a proxy.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server",
                   "--window-size=1400,900"):
        options.add_argument(option)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


def look(url, user, password, server, picture):
    """Logs in, opens the overview, and the list of servers with the one named; leaves a picture of that."""
    with browser() as driver:
        wait = WebDriverWait(driver, PATIENCE)
        driver.get(url)
        wait.until(lambda _: driver.find_elements(By.ID, "id_username"), "no form to log in with")
        root = driver.current_url.split(LOGIN)[0]
        driver.find_element(By.ID, "id_username").send_keys(user)
        driver.find_element(By.ID, "id_password").send_keys(password)
        for domain in driver.find_elements(By.ID, "id_domain"):
            domain.send_keys("Default")
        driver.find_element(By.ID, "id_password").submit()
        wait.until(lambda _: LOGIN not in driver.current_url or driver.find_elements(By.CLASS_NAME, "alert-danger"))
        expect(LOGIN not in driver.current_url, f"not logged in: {body(driver)}")

        driver.get(f"{root}project/")
        expect("Overview" in driver.title, f"the overview's title is `{driver.title}`: {body(driver)}")
        driver.get(f"{root}project/instances/")
        path = f"//tr[contains(., '{server}')]"
        rows = wait.until(lambda _: driver.find_elements(By.XPATH, path), f"no row of {server}")
        row = rows[0].text
        driver.save_screenshot(picture)
        expect("Active" in row, f"{server} is not Active: {row}")
        errors = [each.text for each in driver.find_elements(By.CLASS_NAME, "alert-danger") if each.text.strip()]
        expect(not errors, f"the page says {errors}")


def body(driver):
    return " ".join(driver.find_element(By.TAG_NAME, "body").text.split())[:300]


if __name__ == "__main__":
    site, image = sys.argv[1:]
    vip = flat.read(os.path.join(site, "globals.yml"))["kolla_internal_vip_address"]
    admin = flat.read(os.path.join(site, "passwords.yml"))["keystone_admin_password"]
    look(f"http://{vip}/", "admin", admin, "demo1", image)
    print(image)
