use proptest::prelude::*;

use super::*;

/// The address that git gets, and the ref.
fn parse(text: &str) -> (String, String) {
    let url: RepositoryUrl = text.parse().unwrap_or_else(|error| panic!("{text} {error}"));
    (url.address(), url.reference.to_string())
}

#[test]
fn an_address_is_kept_whole_with_its_user_port_and_path() {
    for (text, address) in [
        ("git+ssh://git@git.example.com/org/settings.git", "ssh://git@git.example.com/org/settings.git"),
        ("git+ssh://git@git.example.com:2222/org/settings", "ssh://git@git.example.com:2222/org/settings"),
        ("git+ssh://git@[2001:db8::1]/r", "ssh://git@[2001:db8::1]/r"),
        ("git+ssh://git@[2001:db8::1]:2222/r", "ssh://git@[2001:db8::1]:2222/r"),
        ("git+ssh://me@Git.Example.COM/~me/r", "ssh://me@git.example.com/~me/r"),
        ("git+ssh://git@h/a%20b/%C3%A4.git", "ssh://git@h/a%20b/%C3%A4.git"),
        ("git+https://git.example.com/org/settings", "https://git.example.com/org/settings"),
        ("git+https://git.example.com:8443/org/s.git", "https://git.example.com:8443/org/s.git"),
        (" git+https://h/r\n", "https://h/r"),
    ] {
        assert_eq!(parse(text), (address.to_owned(), "HEAD".to_owned()), "{text}");
    }
}

#[test]
fn a_ref_is_a_branch_a_tag_or_a_whole_commit() {
    let sha = "0123456789abcdef0123456789ABCDEF01234567";
    for (end, name) in [
        ("@main", "main"),
        ("@v1.0", "v1.0"),
        ("@feature/x-1", "feature/x-1"),
        ("@refs/tags/v1", "refs/tags/v1"),
        ("@20261125", "20261125"),
        ("@HEAD", "HEAD"),
        ("@rel%23%33", "rel#3"),
        ("@gr%C3%BCn", "grün"),
        (&format!("@{sha}"), &sha.to_lowercase()),
    ] {
        let (address, reference) = parse(&format!("git+ssh://git@h/org/r{end}"));
        assert_eq!((address.as_str(), reference.as_str()), ("ssh://git@h/org/r", name));
    }
    let commit: RepositoryUrl = format!("git+https://h/r@{}", "f".repeat(64)).parse().unwrap();
    assert!(matches!(commit.reference, Reference::Commit(_)));
    let short: RepositoryUrl = "git+https://h/r@0123456".parse().unwrap();
    assert!(matches!(short.reference, Reference::Named(_)));
}

#[test]
fn an_at_sign_in_a_path_is_not_taken_for_the_one_before_a_ref() {
    for (text, address, reference) in [
        ("git+ssh://git@h/@group/rules.git", "ssh://git@h/@group/rules.git", "HEAD"),
        ("git+ssh://git@h/@group/rules.git@main", "ssh://git@h/@group/rules.git", "main"),
        ("git+ssh://git@h/%40group/rules", "ssh://git@h/%40group/rules", "HEAD"),
        ("git+ssh://git@h/%40group/rules@main", "ssh://git@h/%40group/rules", "main"),
        ("git+ssh://git@h/a@b/rules@main", "ssh://git@h/a@b/rules", "main"),
        ("git+ssh://git@h/rules.git@release@2", "ssh://git@h/rules.git", "release@2"),
        ("git+ssh://git@h/a.git@b/rules.git@main", "ssh://git@h/a.git@b/rules.git", "main"),
    ] {
        assert_eq!(parse(text), (address.to_owned(), reference.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused_with_the_reason() {
    for (text, words) in [
        ("", "is not git+ssh://user@host/path or git+https://host/path"),
        ("settings", "is not git+ssh://"),
        ("git@github.com:org/r.git", "is not git+ssh://"),
        ("git+ssh:git@h/r", "is not git+ssh://"),
        ("git+ssh://git@h:org/r.git", "behind the `:` after its host"),
        ("git+ssh://git@h:70000/r", "behind the `:` after its host"),
        ("git+ssh://git@h:0/r", "has the port 0"),
        ("git+ssh://h/r", "does not say which user to be"),
        ("git+ssh://git@/r", "is not git+ssh://"),
        ("git+ssh://git@h", "has no path"),
        ("git+ssh://git@h/", "has no path"),
        ("git+https://h", "has no path"),
        ("git+ssh://git@h/@main", "has no path"),
        ("git+ssh://git:pw@h/r", "custom-config-repo-token"),
        ("git+https://u:pw@h/r", "custom-config-repo-token"),
        ("git+https://h/r?x=1", "%3F"),
        ("git+https://h/r@main#egg=x", "%23"),
        ("git+ssh://git@h/a b", "blank"),
        ("git+ssh://git@h/a\tb", "blank"),
        ("git+ssh://git@h/a%0ab", "path that is no text"),
        ("git+ssh://git@h/a%ff", "path that is no text"),
        ("git+ssh://git@-oProxyCommand=x/r", "host name"),
        ("git+ssh://git@h$(id)/r", "host name"),
        ("git+ssh://git@h%20x/r", ""),
        ("git+ssh://git@[::1/r", "is not git+ssh://"),
        ("git+ssh://-oX@h/r", "user"),
        ("git+ssh://a%40b@h/r", "user"),
        ("git+https://oauth2@h/r", "custom-config-repo-token"),
    ] {
        let error = text.parse::<RepositoryUrl>().expect_err(text);
        assert!(error.contains(words), "{text} {error}");
    }
}

#[test]
fn a_scheme_is_compared_whole_so_that_nothing_without_proof_of_the_host_passes() {
    for scheme in
        ["git", "ssh", "https", "http", "file", "g", "git+http", "git+file", "git+git", "git+sshx", "xgit+ssh", "+"]
    {
        let error = format!("{scheme}://git@h/r").parse::<RepositoryUrl>().expect_err(scheme);
        assert!(error.contains("is not git+ssh://"), "{scheme}: {error}");
    }
}

#[test]
fn a_ref_that_git_would_not_take_is_refused() {
    for name in [
        "",
        "-x",
        "--upload-pack=x",
        "a..b",
        "a~1",
        "a^",
        "a:b",
        "%3F",
        "a*",
        "%5Bx",
        "a%5Cb",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a.",
        "a%20b",
        "@",
        "x@{1}",
        "a%00b",
    ] {
        let text = format!("git+ssh://git@h/r.git@{name}");
        assert!(text.parse::<RepositoryUrl>().is_err(), "{text} was taken");
    }
}

/// An `@` in a path or ref is written `%40` by those who want to be sure.
fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('@', "%40").replace('#', "%23").replace('?', "%3F").replace(' ', "%20")
}

proptest! {
    #[test]
    fn whatever_is_written_is_refused_or_is_an_address_that_can_be_no_option_of_git(
        text in prop_oneof![
            any::<String>(),
            "git\\+(ssh|https)://[ -~]{0,40}",
            "git\\+(ssh|https)://([a-z]{1,3}@)?[a-z0-9.\\[\\]:-]{1,12}(/[a-z@%.0-9~-]{0,6}){1,4}(@[ -~]{0,12})?",
        ],
    ) {
        let Ok(url) = text.parse::<RepositoryUrl>() else { return Ok(()) };
        let (address, reference) = (url.address(), url.reference.to_string());
        prop_assert!(address.starts_with("ssh://") || address.starts_with("https://"), "{}", address);
        prop_assert!(!url.host.is_empty() && !url.host.starts_with('-'));
        prop_assert_eq!(url.user.is_some(), url.transport == Transport::Ssh);
        prop_assert!(!url.user.unwrap_or_default().starts_with('-'));
        prop_assert!(!reference.is_empty() && !reference.starts_with('-'));
        for text in [address, reference] {
            prop_assert!(!text.contains(|c: char| c.is_whitespace() || c.is_control()), "{:?}", text);
        }
    }

    #[test]
    fn every_part_is_found_again_where_it_was_put(
        user in "[a-z_][a-z0-9._-]{0,8}",
        host in "[a-z][a-z0-9-]{0,8}(\\.[a-z]{1,4}){0,2}|\\[2001:db8::[1-9a-f]{1,4}\\]|192\\.0\\.2\\.[1-9]",
        port in proptest::option::of(1..=u16::MAX),
        path in "(/[a-z~@%. ]{1,6}x){1,4}",
        reference in proptest::option::of("[a-z][a-z0-9@#%]{0,8}(/[a-z]{1,4}){0,2}"),
    ) {
        let path = encoded(&path);
        let authority = format!("{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default());
        let end = reference.as_ref().map(|reference| format!("@{}", encoded(reference))).unwrap_or_default();
        let text = format!("git+ssh://{user}@{authority}{path}{end}");
        let url: RepositoryUrl = text.parse().map_err(|error| TestCaseError::fail(format!("{text} {error}")))?;
        prop_assert_eq!(url.address(), format!("ssh://{}@{}{}", user, authority, path));
        prop_assert_eq!(url.reference.to_string(), reference.unwrap_or_else(|| "HEAD".to_owned()));
        prop_assert_eq!(url.port, port);
        prop_assert_eq!(url.host, host.trim_start_matches('[').trim_end_matches(']'));
    }

    #[test]
    fn without_a_ref_the_path_is_whole_whatever_follows_its_last_slash(path in "(/@?[a-z]{1,4}){1,3}\\.git") {
        let url: RepositoryUrl = format!("git+https://h{path}").parse().unwrap();
        prop_assert_eq!(url.address(), format!("https://h{path}"));
        prop_assert_eq!(url.reference, Reference::Default);
    }
}
