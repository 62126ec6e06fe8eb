//! Demo.
use std::process::ExitCode;
/// x
#[derive(Debug, clap::Args)]
pub struct Args {}
/// x
pub fn run(_a: &Args) -> ExitCode { 
    match crate::lab::enter() { Ok(crate::lab::Entered::Inside) => {}, Ok(crate::lab::Entered::Outside(c)) => return c.into(), Err(e) => { eprintln!("{e}"); return ExitCode::FAILURE } }
    let t = std::time::Instant::now();
    let mut lab = crate::lab::Lab::new(crate::lab::LabConfig::pair()).unwrap();
    eprintln!("lab {:?}", t.elapsed());
    lab.boot("node1").unwrap();
    eprintln!("boot {:?}", t.elapsed());
    lab.boot("node2").unwrap();
    eprintln!("boot {:?}", t.elapsed());
    let p = lab.client().unwrap();
    let s1 = lab.serve("node1").unwrap();
    let _s2 = lab.serve("node2").unwrap();
    let o = lab.exec("node1", &["ip", "addr", "add", "192.0.2.100/24", "dev", "eth0"]).unwrap();
    eprintln!("{:?} {:?}", o, t.elapsed());
    eprintln!("{:?}", p.wait_served(None, std::time::Duration::from_secs(3)));
    let l = lab.power_off("node1").unwrap();
    eprintln!("cut {:?} killed {:?} all {:?}", l.cut-l.at, l.killed-l.at, l.at.elapsed());
    let o = lab.exec("node2", &["sh", "-c", "ip addr add 192.0.2.100/24 dev eth0; arping -c1 -U -I eth0 192.0.2.100"]).unwrap();
    eprintln!("{:?} {:?}", o, t.elapsed());
    eprintln!("{:?}", p.wait_served(Some("node2"), std::time::Duration::from_secs(8)));
    let o = p.outage_since(l.at).unwrap();
    eprintln!("{:?} {:?}", o, p.summary_since(l.at));
    lab.boot("node1").unwrap();
    drop(s1);
    let o = lab.exec("node1", &["sh", "-c", "mount | head -40; ls -la / /etc /var /dev; reboot now; systemctl; cat /var/log/power*; grep Cap /proc/self/status; ip -br a; hostname; ps ax; touch /usr/x"]).unwrap();
    eprintln!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    ExitCode::SUCCESS
}
