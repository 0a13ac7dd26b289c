//! Texts that YAML reads as something else.

use super::{Folder, THREE};

#[test]
fn a_text_that_is_read_as_something_else_is_told_and_a_secret_is_not_shown() {
    let globals = "who: yes\napi_interface: 0123\nurl: 1.10\nmariadb_port: 03306\nother: 1.10\n";
    let passwords = "a_password: 0777\nb_password: 12:30:45\nc_password: 12345\nd_password: \"0777\"\ne_password: 1.5e3x\n\
                     f_password: 1_0 # six\n";
    let folder = Folder::new(&[("hosts", THREE), ("globals.yml", globals), ("passwords.yml", passwords)]);
    let found = folder.show(&folder.load().warnings());
    let hint = "(write it in quotes; or write what it is read as, if that is what is deployed)";
    let expected = [
        "globals.yml:1:6: `who` is read as `True`, not as `yes`",
        "globals.yml:2:16: `api_interface` is read as `83`, not as `0123`",
        "globals.yml:3:6: `url` is read as `1.1`, not as `1.10`",
        "passwords.yml:1:13: `a_password` is read as another text than is written",
        "passwords.yml:2:13: `b_password` is read as another text than is written",
        "passwords.yml:6:13: `f_password` is read as another text than is written",
    ];
    assert_eq!(found, expected.map(|line| format!("{line} {hint}")));
}

#[test]
fn a_literal_of_an_inventory_is_told_with_the_quotes_that_help_there() {
    let hosts = "[control]\nc1 url=\"1.10\" api_interface='\"1.10\"' a_password=1_0 ansible_host=c0\n\
                 c[2:3] url=1e3 mariadb_port=0x10\n[control:vars]\nurl = 1.20 # old\nwho=\"1.10\"\nother=1.10\n";
    let folder = Folder::new(&[("hosts", hosts), ("passwords.yml", "a_password: x\n")]);
    let found = folder.load().warnings();
    assert!(found.iter().all(|word| word.place.as_ref().unwrap().excerpt.is_none()));
    let deployed = "or write what it is read as, if that is what is deployed";
    let quotes = "write quotes in quotes, as in `name='\"value\"'`";
    assert_eq!(
        folder.show(&found),
        [
            format!("hosts:5:7: `url` is read as `1.2`, not as `1.20` (write it in quotes; {deployed})"),
            format!("hosts:2:8: `url` is read as `1.1`, not as `1.10` ({quotes}; {deployed})"),
            format!("hosts:2:49: `a_password` is read as another text than is written ({quotes}; {deployed})"),
            format!("hosts:3:12: `url` is read as `1000.0`, not as `1e3` ({quotes}; {deployed})"),
        ]
    );
}
