//! Malformed rows: each gets one verdict with its line, and the rows around it are read.

use countersign::import::{Format, MAX_ROW};

use super::{options, read};

/// What became of each row: `line: ok` or `line: reason`.
fn verdicts(text: impl Into<Vec<u8>>, format: Format) -> Vec<String> {
    let rows = read(text, &options(format)).unwrap();
    let told = |(n, row): (u64, countersign::import::Row)| match row {
        Ok(user) => {
            assert_eq!(user.place.number, n);
            format!("{}: ok", user.place.line)
        }
        Err(error) => {
            assert_eq!(error.place.number, n);
            let reason = error.reason.to_string();
            let code = reason.split(" at line").next().unwrap().to_owned();
            format!("{}: {code}", error.place.line)
        }
    };
    (1..).zip(rows).map(told).collect()
}

#[test]
fn a_malformed_line_of_json_is_one_verdict_and_the_next_line_is_read() {
    let deep = format!(
        "{{\"email\":\"a@x.com\",\"metadata\":{{\"a\":{}1{}}}}}",
        "[".repeat(200),
        "]".repeat(200)
    );
    let table: [(&[u8], &str); 26] = [
        (b"{", "not_json: EOF while parsing an object"),
        (b"{}", "no_email"),
        (b"[]", "not_json: no object"),
        (b"null", "not_json: no object"),
        (b"\"a@x.com\"", "not_json: no object"),
        (
            b"{\"email\":\"a@x.com\"",
            "not_json: EOF while parsing an object",
        ),
        (
            b"{\"email\":\"a@x.com\"} {}",
            "not_json: trailing characters",
        ),
        (b"{\"email\":\"a@x.com\",}", "not_json: trailing comma"),
        (b"{'email':'a@x.com'}", "not_json: key must be a string"),
        (b"{\"email\":NaN}", "not_json: expected value"),
        (b"{\"email\":\"\xff@x.com\"}", "not_utf8"),
        (b"\xfe\xff\0{", "not_utf8"),
        (
            b"{\"email\":\"a\\ud800@x.com\"}",
            "not_json: unexpected end of hex escape",
        ),
        (b"{\"email\":\"a\\u0000@x.com\"}", "nul_character"),
        (
            b"{\"email\":\"a@x.com\",\"name\":\"\\u0000\"}",
            "nul_character",
        ),
        (b"{\"email\":true}", "invalid_field: email"),
        (b"{\"email\":\"\"}", "no_email"),
        (b"{\"email\":null}", "no_email"),
        (b"{\"email\":\"a@x.com, b@x.com\"}", "invalid_email"),
        (
            b"{\"email\":\"a@x.com\",\"emailVerified\":\"yes\"}",
            "invalid_field: emailVerified",
        ),
        (
            b"{\"email\":\"a@x.com\",\"createdAt\":\"soon\"}",
            "invalid_field: createdAt",
        ),
        (
            b"{\"email\":\"a@x.com\",\"createdAt\":-5}",
            "invalid_field: createdAt",
        ),
        (
            b"{\"email\":\"a@x.com\",\"metadata\":[]}",
            "invalid_field: metadata",
        ),
        (
            b"{\"email\":\"a@x.com\",\"accounts\":[{\"provider\":\"google\"}]}",
            "invalid_field: accounts",
        ),
        (
            b"{\"email\":\"a@x.com\",\"plan\":\"pro\"}",
            "unknown_field: plan",
        ),
        (deep.as_bytes(), "not_json: recursion limit exceeded"),
    ];
    for (bad, reason) in table {
        let good = b"{\"email\":\"b@x.com\"}";
        let text = [good.as_slice(), b"\n", bad, b"\r\n", good].concat();
        let expected = [
            "1: ok".to_owned(),
            format!("2: {reason}"),
            "3: ok".to_owned(),
        ];
        assert_eq!(
            verdicts(text, Format::Jsonl),
            expected,
            "{}",
            String::from_utf8_lossy(bad)
        );
    }
}

#[test]
fn a_row_of_more_than_a_mebibyte_is_refused_and_the_next_one_is_read() {
    let padded = |bytes: usize| {
        let frame = "{\"email\":\"a@x.com\",\"metadata\":{\"a\":\"\"}}".len();
        format!(
            "{{\"email\":\"a@x.com\",\"metadata\":{{\"a\":\"{}\"}}}}",
            "x".repeat(bytes - frame)
        )
    };
    let good = "{\"email\":\"b@x.com\"}";
    for (bytes, told) in [
        (MAX_ROW, "ok"),
        (MAX_ROW + 1, "row_too_long"),
        (2 * MAX_ROW, "row_too_long"),
    ] {
        let text = format!("{}\n{good}", padded(bytes));
        let expected = [format!("1: {told}"), "2: ok".to_owned()];
        assert_eq!(verdicts(text, Format::Jsonl), expected);
        // The last line has no end.
        assert_eq!(verdicts(padded(bytes), Format::Jsonl), expected[..1]);
    }
    let long = "x".repeat(2 * MAX_ROW);
    let csv = format!(
        "sub,email,name\n1,a@x.com,{long}\n2,b@x.com,B\n3,c@x.com,\"{long}\n\"\n4,d@x.com,D\n"
    );
    let expected = ["2: row_too_long", "3: ok", "4: row_too_long", "6: ok"];
    assert_eq!(verdicts(csv, Format::Users), expected);
    let django = |email: &str, name: &str| {
        format!(
            "{{\"model\":\"auth.user\",\"pk\":\"{email}\",\"fields\":{{\"email\":\"{email}\",\"username\":\"{name}\"}}}}"
        )
    };
    let list = format!(
        "[{},\n{}]",
        django("a@x.com", &long),
        django("b@x.com", "b")
    );
    assert_eq!(verdicts(list, Format::Django), ["1: row_too_long", "2: ok"]);
}

#[test]
fn a_malformed_record_of_csv_is_one_verdict_and_the_next_one_is_read() {
    let long = "x".repeat(257);
    let many = ",".repeat(600);
    let table: [(&[u8], &str); 9] = [
        (b"1,a@x.com", "field_count"),
        (b"1,a@x.com,A,B", "field_count"),
        (many.as_bytes(), "field_count"),
        (b"1,,A", "no_email"),
        (b"1,not-an-address,A", "invalid_email"),
        (b"1,a@x.com,\xff", "not_utf8"),
        (b"1,a@x.com,a\0b", "nul_character"),
        (
            &[b"1,a@x.com,", long.as_bytes()].concat(),
            "invalid_field: name",
        ),
        (b"\"1\t\",a@x.com,A", "invalid_field: id"),
    ];
    for (bad, reason) in table {
        let text = [
            b"\xef\xbb\xbfsub,email,name\r\n\r\n".as_slice(),
            bad,
            b"\r\n2,b@x.com,\"B\nC\"\r\n3,c@x.com,C",
        ]
        .concat();
        let expected = [
            format!("3: {reason}"),
            "4: ok".to_owned(),
            "6: ok".to_owned(),
        ];
        assert_eq!(
            verdicts(text, Format::Users),
            expected,
            "{}",
            String::from_utf8_lossy(bad)
        );
    }
    let open = "sub,email,name\n1,a@x.com,A\n2,b@x.com,\"B\n3,c@x.com,C\n";
    assert_eq!(verdicts(open, Format::Users), ["2: ok", "3: truncated"]);
}

#[test]
fn a_header_that_cannot_be_understood_refuses_the_file() {
    let refused = |text: &str, drop: &[&str]| {
        let mut options = options(Format::Users);
        options.drop = drop.iter().map(|&name| name.to_owned()).collect();
        read(text, &options)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let row = "1,a@x.com,A\n";
    assert_eq!(refused("", &[]), "the file is empty");
    assert!(refused(&format!("sub,email,plan\n{row}"), &[]).contains("--drop plan"));
    assert!(refused("sub,name\n1,A\n", &[]).contains("lacks the column email"));
    assert!(refused(&format!("sub,email,email\n{row}"), &[]).contains("email twice"));
    assert!(refused(&format!("sub,email,name\n{row}"), &["plan"]).contains("no column plan"));
    assert_eq!(refused(&format!("sub,email,plan\n{row}"), &["plan"]), "");
}

#[test]
fn a_list_that_ends_early_or_has_other_things_in_it_says_so() {
    let user = |n: u64| format!("{{\"localId\":\"{n}\",\"email\":\"a{n}@x.com\"}}");
    let (one, two) = (user(1), user(2));
    let of = |list: &str| verdicts(format!("{{\n\"users\": [\n{list}"), Format::Firebase);
    assert_eq!(of(&format!("{one},\n{two}]}}")), ["3: ok", "4: ok"]);
    assert_eq!(
        of(&format!("{one},\n{two}")),
        ["3: ok", "4: ok", "4: truncated"]
    );
    assert_eq!(
        of(&format!("{one},\n{{\"localId\":\"2")),
        ["3: ok", "4: truncated"]
    );
    assert_eq!(
        of(&format!("{one},\n{{\"a\":[1,2}},\n{two}]}}"))[0],
        "3: ok"
    );
    let others = of(&format!("7,\n\"x ] }} \\\" \",\nnull,\n[{one}],\n{two}]}}"));
    assert_eq!(
        others,
        [
            "3: not_json: no object",
            "4: not_json: no object",
            "5: not_json: no object",
            "6: not_json: no object",
            "7: ok"
        ]
    );
    assert_eq!(of("]}"), Vec::<String>::new());
    for (text, format) in [
        ("", Format::Firebase),
        ("[]", Format::Firebase),
        ("{\"user\":[]}", Format::Firebase),
        ("{\"users\":{}}", Format::Keycloak),
        ("{}", Format::Django),
        ("", Format::Django),
    ] {
        assert!(read(text, &options(format)).is_err(), "{text:?}");
    }
}
