//! Every hook of the Python charms that was recorded, played around our compiled charms.
//!
//! `tests/vectors` has the recordings and the list of what comes out differently. `VECTORS` names another folder in the
//! same format, to which the same list applies; entries that it does not need are no mistake there.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use charm_tests::coverage;
use charm_tests::vectors::adapt::Adaptation;
use charm_tests::vectors::{Differs, End, Judgement, Played, folder, judge, play_all};

/// All of them are played once, and looked at by several tests.
static PLAYED: LazyLock<Vec<Played>> = LazyLock::new(|| {
    let folder = folder::given().unwrap_or_else(folder::own);
    play_all(folder::read(&folder).unwrap_or_else(|problems| panic!("{problems}")))
});

static JUDGEMENT: LazyLock<Judgement> = LazyLock::new(|| judge(&Differs::read(), &PLAYED));

#[test]
fn our_charms_do_what_the_vectors_say_and_what_the_list_says_instead() {
    let Judgement { table, problems, undecided, coverage, .. } = &*JUDGEMENT;
    println!("{}", table.join("\n"));
    assert!(problems.is_empty(), "{} vectors are not met:\n{}", problems.len(), problems.join("\n"));
    if folder::given().is_some() {
        println!(
            "These say that they are wrong, and no entry of the list tells what is right:\n{}",
            undecided.join("\n")
        );
    } else {
        assert!(undecided.is_empty(), "no entry of differs.yaml tells what is right:\n{}", undecided.join("\n"));
        coverage::check("vectors/coverage.yaml", "vectors/differs.yaml", coverage);
    }
}

#[test]
fn the_list_has_nothing_that_no_vector_needs() {
    if folder::given().is_none() {
        let stale = &JUDGEMENT.stale;
        assert!(stale.is_empty(), "differs.yaml is out of date:\n{}", stale.join("\n"));
    }
}

#[test]
fn whatever_is_put_differently_is_so_for_some_vector() {
    let mut adapted = BTreeSet::new();
    for played in &*PLAYED {
        if let End::Run(run) = &played.end {
            adapted.extend(run.adapted.iter().copied());
        }
    }
    for adaptation in Adaptation::ALL {
        println!("{adaptation:?}: {}", adaptation.reason());
        assert!(folder::given().is_some() || adapted.contains(&adaptation), "{adaptation:?} is not needed any more");
    }
}
