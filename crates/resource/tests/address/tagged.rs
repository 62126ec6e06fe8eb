//! What carries our mark, and nothing else, can be removed after the daemon has died.

use hb_resource::address::{Addresses, remove_tagged};
use hb_resource::operation::Outcome;

use super::net::{ONCE, in_namespace, spec};

#[test]
fn what_a_dead_daemon_has_added_is_removed_and_nothing_else() {
    in_namespace("what_a_dead_daemon_has_added_is_removed_and_nothing_else", async |net| {
        let specs =
            ["10.0.0.170/24", "10.0.0.171/24", "fd00::170/64"].map(|text| spec(text, Some("eth0")));
        let adopted = spec("10.0.0.172/24", Some("eth0"));
        net.add("eth0", "10.0.0.172/24", None).await;
        net.add("eth0", "10.0.0.50/24", None).await;
        let daemon = Addresses::open().unwrap();
        for spec in specs.iter().chain([&adopted]) {
            assert_eq!(daemon.start(spec, ONCE).await, Outcome::Ok);
        }
        drop(daemon);

        let guardian = Addresses::open().unwrap();
        let shown = async || {
            let ours = guardian.ours().await.unwrap();
            ours.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let all = [
            "10.0.0.170/24 on eth0",
            "10.0.0.171/24 on eth0",
            "10.0.0.172/24 on eth0",
            "fd00::170/64 on eth0",
        ];
        let mut ours = shown().await;
        ours.sort();
        assert_eq!(ours, all);

        let foreign = spec("10.0.0.50/24", Some("eth0"));
        let removal = remove_tagged(Some(&[specs[0].clone(), foreign])).await;
        assert_eq!((removal.problems, removal.by_configuration), (vec![], false));
        assert_eq!(removal.removed[0].to_string(), all[0]);
        assert_eq!((removal.removed.len(), shown().await.len()), (1, 3));

        assert_eq!(remove_tagged(None).await.removed.len(), 3);
        assert_eq!(shown().await, Vec::<String>::new());
        for ip in ["10.0.0.1", "10.0.0.50"] {
            assert!(net.find("eth0", ip).await.is_some(), "{ip}");
        }
        assert_eq!(net.find("eth0", "10.0.0.172").await, None);
    });
}
