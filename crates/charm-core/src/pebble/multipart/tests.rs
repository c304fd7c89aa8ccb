use super::*;

fn file(name: &str, content: &[u8]) -> Part {
    Part { name: "files".to_owned(), file_name: Some(name.to_owned()), content: content.to_vec() }
}

#[test]
fn a_body_is_what_pebble_expects() {
    let request = Part { name: "request".to_owned(), file_name: None, content: b"{}".to_vec() };
    let (content_type, body) = write(&[request, file("/etc/a", b"one\n")]);
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    assert!(boundary.len() >= 32, "Pebble refuses shorter ones: {boundary}");
    assert_eq!(
        String::from_utf8(body).unwrap(),
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"request\"\r\nContent-Type: application/json\r\n\r\n{{}}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"/etc/a\"\r\n\
             Content-Type: application/octet-stream\r\n\r\none\n\r\n--{boundary}--\r\n"
        )
    );
}

#[test]
fn whatever_is_in_a_file_comes_back_byte_for_byte() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let contents: [&[u8]; 8] = [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"--",
        b"\r\n--charm-file-boundary-",
        b"--charm-file-boundary-00000000000000000000--\r\n",
        b"\r\n--charm-file-boundary-00000000000000000000\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{}",
        &every_byte,
    ];
    let parts: Vec<Part> = contents.iter().map(|content| file("/f", content)).collect();
    let (content_type, body) = write(&parts);
    assert_eq!(read(&content_type, &body).unwrap(), parts);
}

#[test]
fn a_boundary_that_stands_in_a_file_is_not_used() {
    let (first, _) = write(&[file("/a", b"harmless")]);
    let taken = first.split_once('=').unwrap().1;
    let (second, _) = write(&[file("/a", taken.as_bytes())]);
    assert_ne!(first, second);
}

#[test]
fn names_cannot_break_out_of_their_header() {
    for name in ["/a\"b", "/a\\", "/a\\\"; filename=\"/etc/shadow", "/ä ü/日本", "/a;b=c", "/filename=\"x\""] {
        let parts = [file(name, b"x")];
        let (content_type, body) = write(&parts);
        assert_eq!(read(&content_type, &body).unwrap(), parts, "{name}");
    }
    let (_, body) = write(&[file("/a\r\nContent-Type: evil\r\n\r\nx", b"y")]);
    let text = String::from_utf8(body).unwrap();
    assert_eq!(text.matches("\r\n\r\n").count(), 1, "{text}");
}

#[test]
fn an_answer_of_pebble_is_read() {
    let body = "--0123abc\r\nContent-Disposition: form-data; name=\"files\"; filename=\"/etc/a/b.yaml\"\r\n\
                Content-Type: application/octet-stream\r\n\r\nkey: väl\n\r\n\
                --0123abc\r\nContent-Disposition: form-data; name=\"response\"\r\nContent-Type: application/json\r\n\r\n\
                {\"type\":\"sync\"}\n\r\n--0123abc--\r\n";
    let parts = read("multipart/form-data; boundary=0123abc", body.as_bytes()).unwrap();
    assert_eq!(parts[0], file("/etc/a/b.yaml", "key: väl\n".as_bytes()));
    assert_eq!(parts[1].name, "response");
    assert_eq!(parts[1].file_name, None);
    assert_eq!(parts[1].content, b"{\"type\":\"sync\"}\n");
}

#[test]
fn a_body_without_parts_is_read() {
    assert_eq!(read("multipart/form-data; boundary=b", b"--b--\r\n"), Ok(Vec::new()));
}

#[test]
fn a_broken_body_is_an_error_wherever_it_breaks() {
    let (content_type, body) = write(&[file("/a", b"one"), file("/b", b"two")]);
    let complete = body.len() - 2; // the last line end may be missing
    for length in 0..complete {
        assert!(read(&content_type, &body[..length]).is_err(), "cut after {length} bytes");
    }
    assert!(read(&content_type, &body[..complete]).is_ok());
}

#[test]
fn other_kinds_of_answer_are_refused() {
    for content_type in
        ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=b"]
    {
        assert!(read(content_type, b"--b--\r\n").is_err(), "{content_type}");
    }
    for part in [
        "",
        "x",
        "\r\n\r\nx",
        "A: b\r\n\r\nx",
        "Content-Disposition: form-data\r\n\r\nx",
        "Content-Disposition: form-data; name=\"x\r\n\r\ny",
    ] {
        let body = format!("--b\r\n{part}\r\n--b--\r\n");
        assert!(read("multipart/form-data; boundary=b", body.as_bytes()).is_err(), "{part}");
    }
}

#[test]
fn debug_does_not_show_what_is_in_a_file() {
    let text = format!("{:?}", file("/key.pem", b"PRIVATE"));
    assert!(text.contains("/key.pem") && !text.contains("PRIVATE") && !text.contains("80, 82"), "{text}");
}
