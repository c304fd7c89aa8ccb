//! Files and folders of the workload.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use charm_core::pebble::{Directory, Error, File, FileType};

use crate::world::World;

fn file(path: &str, content: &[u8]) -> File {
    File { path: path.to_owned(), content: content.to_vec(), mode: 0o644, user: None, group: None, make_dirs: true }
}

fn directory(path: &str) -> Directory {
    Directory { path: path.to_owned(), mode: 0o750, user: None, group: None }
}

#[tokio::test]
async fn a_file_is_written_below_the_root_and_read_back() {
    let world = World::new();
    world.client.write_files(&[File { mode: 0o600, ..file("/etc/a/b.yaml", "key: väl\n".as_bytes()) }]).await.unwrap();
    let place = world.root.path().join("etc/a/b.yaml");
    assert_eq!(fs::read_to_string(&place).unwrap(), "key: väl\n");
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(world.client.read_file("/etc/a/b.yaml").await.unwrap().unwrap(), "key: väl\n".as_bytes());
    assert_eq!(world.client.path("/etc/a/b.yaml"), place.to_str().unwrap(), "for command lines and configuration");
}

#[tokio::test]
async fn contents_come_back_byte_for_byte() {
    let world = World::new();
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = every_byte.iter().copied().cycle().take(3_000_000).collect();
    let contents: [&[u8]; 6] = [
        b"",
        b"\r\n--",
        b"\r\n--charm-file-boundary-00000000000000000000--\r\n",
        b"\r\n--charm-file-boundary-00000000000000000000\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{}",
        &every_byte,
        &large,
    ];
    let paths = ["/0", "/1", "/2", "/3", "/4", "/5"];
    let files: Vec<File> = paths.iter().zip(contents).map(|(path, content)| file(path, content)).collect();
    world.client.write_files(&files).await.unwrap();
    for (path, content) in paths.iter().zip(contents) {
        assert!(world.client.read_file(path).await.unwrap().unwrap() == content, "{path}");
    }
}

#[tokio::test]
async fn names_may_hold_anything_but_a_line_end() {
    let world = World::new();
    let names = ["/a b", "/a\"b", "/a\\b", "/a;b=c", "/ä/日本", "/a%0Ab", "/a&path=/etc/passwd", "/a#b?c", "/a'b+c"];
    for name in names {
        world.client.write_files(&[file(name, name.as_bytes())]).await.unwrap();
        assert_eq!(world.client.read_file(name).await.unwrap().unwrap(), name.as_bytes(), "{name}");
        assert!(world.root.path().join(&name[1..]).is_file(), "{name}");
    }
    let error = world.client.write_files(&[file("/a\nb", b"x")]).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 400, .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_none() {
    let world = World::new();
    assert_eq!(world.client.read_file("/nothing").await.unwrap(), None);
    assert_eq!(world.client.read_file("/no/folder/either").await.unwrap(), None);
    assert_eq!(world.client.list_files("/nothing").await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_with_its_path_on_a_unit() {
    let world = World::new();
    fs::create_dir(world.root.path().join("folder")).unwrap();
    let error = world.client.read_file("/folder").await.unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path == "/folder"), "{error:?}");
}

#[tokio::test]
async fn one_bad_file_is_an_error_and_the_others_are_written() {
    let world = World::new();
    let bad = File { make_dirs: false, ..file("/no/folder/f", b"x") };
    let error = world.client.write_files(&[file("/before", b"1"), bad, file("/after", b"2")]).await.unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path == "/no/folder/f") && error.is_not_found(), "{error:?}");
    assert_eq!(world.client.read_file("/before").await.unwrap().unwrap(), b"1");
    assert_eq!(world.client.read_file("/after").await.unwrap().unwrap(), b"2");
}

#[tokio::test]
async fn an_owner_that_does_not_exist_is_an_error() {
    let world = World::new();
    let unowned = File { user: Some("no-such-user".to_owned()), ..file("/f", b"x") };
    let error = world.client.write_files(&[unowned]).await.unwrap_err();
    assert!(error.to_string().contains("no-such-user"), "{error}");
    let groupless = File { group: Some("root".to_owned()), ..file("/f", b"x") };
    assert!(world.client.write_files(&[groupless]).await.is_err(), "a group needs a user");
    let unowned = Directory { user: Some("no-such-user".to_owned()), ..directory("/d") };
    assert!(world.client.make_dirs(&[unowned]).await.is_err());
}

#[tokio::test]
async fn a_file_of_another_owner_is_read_and_replaced_by_root_and_refused_by_others() {
    let world = World::new();
    let owner = |path: &str| fs::metadata(world.root.path().join(path)).unwrap().uid();
    world.client.write_files(&[file("/f", b"old")]).await.unwrap();
    let us = nix::unistd::geteuid();
    if us.is_root() {
        let place = world.root.path().join("f");
        std::os::unix::fs::chown(&place, Some(65534), Some(65534)).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(world.client.read_file("/f").await.unwrap().unwrap(), b"old");
        world.client.write_files(&[file("/f", b"new")]).await.unwrap();
        assert_eq!((owner("f"), world.client.read_file("/f").await.unwrap().unwrap()), (0, b"new".to_vec()));
        let named = File { user: Some("nobody".to_owned()), ..file("/g", b"x") };
        world.client.write_files(&[named]).await.unwrap();
        assert_eq!(world.client.list_files("/g").await.unwrap().unwrap()[0].user, "nobody");
    } else {
        let given_away = File { user: Some("root".to_owned()), ..file("/f", b"new") };
        let error = world.client.write_files(&[given_away]).await.unwrap_err();
        assert!(matches!(&error, Error::File { path, .. } if path == "/f"), "{error:?}");
        assert_eq!((owner("f"), world.client.read_file("/f").await.unwrap().unwrap()), (us.as_raw(), b"old".to_vec()));
    }
}

#[tokio::test]
async fn the_mode_is_that_of_the_request_never_that_of_the_old_file() {
    let world = World::new();
    world.client.write_files(&[File { mode: 0o600, ..file("/f", b"secret") }]).await.unwrap();
    world.client.write_files(&[file("/f", b"public")]).await.unwrap();
    assert_eq!(world.client.list_files("/f").await.unwrap().unwrap()[0].mode, 0o644);
}

#[tokio::test]
async fn a_link_is_replaced_not_followed() {
    let world = World::new();
    let target = world.root.path().join("target");
    fs::write(&target, "old").unwrap();
    symlink(&target, world.root.path().join("link")).unwrap();
    world.client.write_files(&[file("/link", b"new")]).await.unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    assert!(!world.root.path().join("link").is_symlink());
}

#[tokio::test]
async fn a_folder_is_listed_with_paths_as_on_a_unit() {
    let world = World::new();
    world.client.write_files(&[file("/d/f", b"12345")]).await.unwrap();
    fs::create_dir(world.root.path().join("d/sub")).unwrap();
    symlink("f", world.root.path().join("d/link")).unwrap();
    let entries = world.client.list_files("/d").await.unwrap().unwrap();
    let seen: Vec<_> = entries.iter().map(|entry| (entry.path.as_str(), entry.r#type, entry.size)).collect();
    assert_eq!(
        seen,
        [
            ("/d/f", FileType::File, Some(5)),
            ("/d/link", FileType::Symlink, None),
            ("/d/sub", FileType::Directory, None),
        ]
    );
}

#[tokio::test]
async fn a_folder_that_exists_may_be_made_again() {
    let world = World::new();
    world.client.make_dirs(&[directory("/x/y")]).await.unwrap();
    world.client.make_dirs(&[Directory { mode: 0o700, ..directory("/x/y") }, directory("/z")]).await.unwrap();
    let mode = |path: &str| fs::metadata(world.root.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("x"), mode("x/y"), mode("z")], [0o750; 3], "and stays as it was");
}

#[tokio::test]
async fn removing_is_done_when_there_is_nothing_left() {
    let world = World::new();
    world.client.write_files(&[file("/d/f", b"x")]).await.unwrap();
    assert!(world.client.remove("/d", false).await.is_err(), "not empty");
    for recursive in [true, true, false] {
        world.client.remove("/d", recursive).await.unwrap();
    }
    assert!(!world.root.path().join("d").exists());
}

#[tokio::test]
async fn nothing_to_write_is_no_request() {
    let world = World::new();
    world.client.write_files(&[]).await.unwrap();
    world.client.make_dirs(&[]).await.unwrap();
    assert!(world.pebble.requests().is_empty());
}
