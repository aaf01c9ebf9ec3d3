//! `questlake docs`: the catalogue as pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::sandbox::{Sandbox, bundled_project, copy_folder};

/// The texts between `before` and the next quote.
fn attributes<'a>(html: &'a str, before: &str) -> Vec<&'a str> {
    html.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn pages(site: &Path) -> Vec<(String, String)> {
    let mut pages: Vec<(String, String)> = fs::read_dir(site)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "html"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

#[test]
fn every_table_has_a_page_and_no_link_leads_nowhere() {
    let sandbox = Sandbox::new();
    let site = sandbox.path("site");
    let output = ["docs".as_ref(), "--output".as_ref(), site.as_os_str()];
    sandbox.succeed(&output);
    assert!(!sandbox.data().exists(), "a catalogue needs no data");
    let pages = pages(&site);
    let names: BTreeSet<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    for (folder, kind) in
        [("dimensions", "model"), ("facts", "model"), ("marts", "model"), ("events", "event")]
    {
        for entry in fs::read_dir(bundled_project().join("sql").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let page = format!("{kind}-{}.html", path.file_stem().unwrap().to_str().unwrap());
            assert!(names.contains(page.as_str()), "there is no {page}");
        }
    }
    assert!(names.contains("query-whales.html") && names.contains("event-envelope.html"));
    for (name, html) in &pages {
        for outside in ["http://", "https://", "src=\"//"] {
            assert!(!html.contains(outside), "{name} has `{outside}`");
        }
        for link in attributes(html, "href=\"") {
            if link == "style.css" || link == "data:," {
                continue;
            }
            let (page, anchor) = link.split_once('#').unwrap_or((link, ""));
            let page = if page.is_empty() { name.as_str() } else { page };
            let target = pages.iter().find(|(other, _)| other == page);
            let (_, target) = target.unwrap_or_else(|| panic!("{name} links to {link}"));
            let has_anchor = anchor.is_empty() || target.contains(&format!("id=\"{anchor}\""));
            assert!(has_anchor, "{name} links to {link}, where there is no such place");
        }
        let ids = attributes(html, " id=\"");
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "{name} has an id twice: {ids:?}");
    }
    let page = |name: &str| &pages.iter().find(|(page, _)| page == name).unwrap().1;
    let fact = page("model-fact_purchase.html");
    assert!(fact.contains(
        "data-from=\"events.purchase.price_usd\" data-to=\"star.fact_purchase.revenue_usd\""
    ));
    assert!(fact.contains("Price of one unit, US dollars."), "descriptions are missing");
    assert!(fact.contains("revenue is price times quantity"), "unit tests are missing");
    let event = page("event-purchase.html");
    assert!(event.contains("model-fact_purchase.html#c-revenue_usd"), "uses are missing");
    let mart = page("model-mart_level.html");
    assert!(mart.contains("<title>Levels ·") && mart.contains("<h1>Levels "), "no title: {mart}");
    assert!(mart.contains("<code>star.mart_level</code>"), "{mart}");
    let levels = "<a href=\"model-mart_level.html\">Levels</a> <code>mart_level</code>";
    assert!(page("index.html").contains(levels), "the overview does not use titles");
    let catalogue = fs::read_to_string(site.join("catalogue.json")).unwrap();
    let catalogue: serde_json::Value = serde_json::from_str(&catalogue).unwrap();
    let model = |name: &str| {
        let mut models = catalogue["models"].as_array().unwrap().iter();
        models.find(|model| model["name"] == name).unwrap()
    };
    assert_eq!(model("mart_level")["title"], "Levels");
    assert!(model("fact_purchase")["title"].is_null());
    assert!(catalogue["models"].as_array().unwrap().len() >= 11);
    // Written again, it is the same.
    sandbox.succeed(&output);
    assert_eq!(self::pages(&site), pages);
}

#[test]
fn what_a_project_says_is_text_and_never_html() {
    let sandbox = Sandbox::new();
    let project = sandbox.path("project");
    copy_folder(&bundled_project().join("sql"), &project.join("sql"));
    let path = project.join("sql/dimensions/dim_item.sql");
    let sql = fs::read_to_string(&path).unwrap();
    let evil = "<img src=x onerror=alert(1)> & \"more\" </script>";
    fs::write(&path, sql.replacen("One row per item", &format!("{evil} One row per item"), 1))
        .unwrap();
    let site = sandbox.path("site");
    let sandbox = sandbox.with_other_project(&project);
    let title = "--title=<b>A & B</b>";
    sandbox.succeed(&["docs".as_ref(), "--output".as_ref(), site.as_os_str(), title.as_ref()]);
    for (name, html) in pages(&site) {
        assert!(!html.contains("<img") && !html.contains("<b>A"), "{name} has HTML of the project");
        assert!(html.contains("&lt;b&gt;A &amp; B&lt;/b&gt;"), "{name}");
    }
    let index = fs::read_to_string(site.join("index.html")).unwrap();
    assert!(index.contains("&lt;img src=x onerror=alert(1)&gt; &amp; &quot;more&quot;"));
}

#[test]
fn a_folder_with_other_files_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("mine.txt", "mine");
    let folder = sandbox.path(".");
    let refused = sandbox.refuse(&["docs".as_ref(), "--output".as_ref(), folder.as_os_str()]);
    assert!(refused.text().contains("not empty"), "{refused:#?}");
    assert!(!sandbox.path("index.html").exists());
}
