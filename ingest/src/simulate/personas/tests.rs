//! Tests of the persona file.

use super::*;

/// The bundled file with one text replaced.
fn parse_changed(from: &str, to: &str) -> Result<Personas, PersonaError> {
    assert!(BUNDLED.contains(from), "{from}");
    Personas::parse(&BUNDLED.replacen(from, to, 1))
}

fn problem_with(from: &str, to: &str) -> String {
    parse_changed(from, to).unwrap_err().to_string()
}

#[test]
fn the_bundled_personas_are_valid() {
    let personas = Personas::bundled().unwrap();
    assert!(personas.list.len() >= 6);
    assert_eq!(personas.fingerprint(), Personas::bundled().unwrap().fingerprint());
    assert!(personas.list.iter().all(|persona| !persona.price_offers.is_empty()));
}

#[test]
fn churn_runs_in_straight_lines_between_the_points() {
    let personas = Personas::bundled().unwrap();
    let mut persona = personas.list[0].clone();
    persona.churn = vec![[1.0, 0.4], [3.0, 0.2]];
    assert_eq!(persona.churn_after(0), 0.4);
    assert_eq!(persona.churn_after(1), 0.4);
    assert!((persona.churn_after(2) - 0.3).abs() < 1e-12);
    assert_eq!(persona.churn_after(90), 0.2);
    persona.churn.clear();
    assert_eq!(persona.churn_after(5), 0.0);
}

#[test]
fn mistakes_are_named_with_their_place() {
    assert_eq!(
        problem_with("crash_chance = 0.011", "crash_chance = 1.5"),
        "persona \"casual\": crash_chance: 1.5 is no probability; it must lie \
         between 0 and 1"
    );
    assert!(problem_with("[0.99, 6]", "[3.33, 6]").contains("no offer costs 3.33 USD"));
    assert!(problem_with("web = 12", "amiga = 12").contains("unknown platform \"amiga\""));
    assert!(problem_with("{ KR = 2.5", "{ XX = 2.5").contains("\"XX\" is not among"));
    assert!(problem_with("code = \"US\"", "code = \"usa\"").contains("two capital letters"));
    assert!(problem_with("code = \"CA\"", "code = \"US\"").contains("listed twice"));
    assert!(problem_with("[2, 6, 28]", "[9, 6, 28]").contains("ascending"));
    assert!(problem_with("[1, 0.22]", "[0, 0.22]").contains("ascending order"));
    assert!(problem_with("\"core\"", "\"casual\"").contains("used twice"));
    assert!(problem_with("share = 42", "share = nan").contains("persona: share"));
}

#[test]
fn unknown_and_missing_keys_are_refused_with_their_line() {
    let unknown = parse_changed("share = 42", "share = 42\nluck = 1").unwrap_err();
    let PersonaError::Format(source) = unknown else { panic!("{unknown}") };
    assert!(source.to_string().contains("luck"), "{source}");
    let missing = parse_changed("crash_chance = 0.011", "").unwrap_err();
    let PersonaError::Format(source) = missing else { panic!("{missing}") };
    assert!(source.to_string().contains("crash_chance"), "{source}");
}

#[test]
fn mistakes_in_a_file_come_with_its_path() {
    let error = Personas::read(Path::new("no/such/personas.toml")).unwrap_err();
    assert!(error.to_string().contains("no/such/personas.toml"), "{error}");
    let this_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let error = Personas::read(&this_file).unwrap_err();
    assert!(error.to_string().contains("Cargo.toml"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}
