//! The invented organization the logs come from: accounts, network interfaces, principals.
//!
//! Two reference networks: A is five accounts with EKS on EC2 nodes behind a public load balancer,
//! B is three accounts with pods on Fargate, no public subnet and VPC endpoints only. Hosts with the
//! role [`Role::Planted`] and principals listed in [`Estate::planted_users`] appear in attacks only.

use super::Random;
use std::net::Ipv4Addr;

/// A reference network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Architecture {
    /// Five accounts, EKS on EC2 nodes, public subnets, NAT gateways, bastion.
    A,
    /// Three accounts, EKS on Fargate, private subnets only, VPC endpoints.
    B,
}

/// What a network interface is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Load balancer node.
    Balancer,
    /// NAT gateway.
    Nat,
    /// Bastion host.
    Bastion,
    /// Node or Fargate pod that runs the application.
    App,
    /// Database instance.
    Database,
    /// Interface VPC endpoint.
    Endpoint,
    /// Attached to something that has no traffic: produces NODATA records.
    Idle,
    /// Takes part in planted attacks only; the number tells them apart.
    Planted(u8),
}

/// One elastic network interface.
#[derive(Debug, Clone)]
pub struct Interface {
    /// What it is for.
    pub role: Role,
    /// Primary private address.
    pub address: Ipv4Addr,
    /// Secondary addresses (pods).
    pub pods: Vec<Ipv4Addr>,
    /// `eni-…`
    pub id: String,
    /// `subnet-…`
    pub subnet: String,
    /// `i-…`, or `-` where AWS owns the interface.
    pub instance: String,
    /// Availability Zone id.
    pub az: &'static str,
}

/// One AWS account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Twelve digits; the third account's id starts with a zero, because some do.
    pub id: String,
    /// `management`, `logging`, `dev`, `staging`, `prod`.
    pub name: &'static str,
    /// Share of the organization's API calls.
    pub weight: u32,
}

/// The organization.
#[derive(Debug, Clone)]
pub struct Estate {
    /// Which reference network.
    pub architecture: Architecture,
    /// `o-…`
    pub organization: String,
    /// Home Region.
    pub region: &'static str,
    /// All accounts.
    pub accounts: Vec<Account>,
    /// `vpc-…` of the production account.
    pub vpc: String,
    /// Interfaces in that VPC.
    pub interfaces: Vec<Interface>,
    /// Suffix AWS gives to the roles of single sign-on.
    pub sso_suffix: String,
}

const AZ_IDS: [&str; 3] = ["euc1-az2", "euc1-az3", "euc1-az1"];

/// First octets of planted outside addresses; benign clients never use them.
pub const PLANTED_OCTETS: [u8; 4] = [45, 91, 185, 193];

impl Estate {
    /// The organization of `seed`.
    pub fn new(seed: u64, architecture: Architecture) -> Self {
        let mut random = Random::new(seed, "estate");
        let names: &[(&str, u32)] = match architecture {
            Architecture::A => {
                &[("management", 6), ("logging", 5), ("dev", 22), ("staging", 17), ("prod", 50)]
            }
            Architecture::B => &[("management", 12), ("dev", 30), ("prod", 58)],
        };
        let accounts = names
            .iter()
            .enumerate()
            .map(|(index, &(name, weight))| Account {
                id: if index == 2 {
                    format!("0{:011}", random.below(100_000_000_000))
                } else {
                    format!("{}{:011}", random.between(1, 9), random.below(100_000_000_000))
                },
                name,
                weight,
            })
            .collect();
        let mut estate = Self {
            architecture,
            organization: format!("o-{}", random.alphanumeric(10)),
            region: "eu-central-1",
            accounts,
            vpc: format!("vpc-0{}", random.hex(16)),
            interfaces: Vec::new(),
            sso_suffix: random.hex(16),
        };
        match architecture {
            Architecture::A => estate.build_a(&mut random),
            Architecture::B => estate.build_b(&mut random),
        }
        estate
    }

    /// The production account: its VPC is the one with flow logs.
    pub fn production(&self) -> &Account {
        self.account("prod")
    }

    /// The account called `name`, or the last one.
    pub fn account(&self, name: &str) -> &Account {
        let last = self.accounts.len() - 1;
        self.accounts.iter().find(|account| account.name == name).unwrap_or(&self.accounts[last])
    }

    /// Indices of the interfaces with `role`.
    pub fn with_role(&self, role: Role) -> Vec<usize> {
        (0..self.interfaces.len()).filter(|&index| self.interfaces[index].role == role).collect()
    }

    /// IAM users that appear in planted attacks only.
    pub fn planted_users() -> [&'static str; 5] {
        ["svc-legacy-export", "d.moreau", "j.keller", "contractor-04", "old-deploy"]
    }

    fn build_a(&mut self, random: &mut Random) {
        for zone in 0..3u8 {
            let public = [10, 0, zone + 1];
            let app = [10, 0, 16 * (zone + 1)];
            let db = [10, 0, 64 + 8 * zone];
            self.subnet(random, zone, public, &[(Role::Balancer, 1), (Role::Nat, 1), (Role::Idle, 1)]);
            self.subnet(random, zone, app, &[(Role::App, 4), (Role::Idle, 1)]);
            self.subnet(random, zone, db, &[(Role::Database, 1)]);
        }
        self.subnet(random, 0, [10, 0, 1], &[(Role::Bastion, 1)]);
        // Planted: 0 lies in a public subnet (reaches for the database), 1 and 2 in the application
        // subnets (sweep, exfiltration), 3 in an application subnet (beacon), 4 is a second bastion
        // (brute force, port scan).
        self.subnet(random, 1, [10, 0, 2], &[(Role::Planted(0), 1), (Role::Planted(4), 1)]);
        self.subnet(random, 1, [10, 0, 32], &[(Role::Planted(1), 1), (Role::Planted(2), 1)]);
        self.subnet(random, 2, [10, 0, 48], &[(Role::Planted(3), 1)]);
    }

    fn build_b(&mut self, random: &mut Random) {
        for zone in 0..2u8 {
            let app = [10, 0, 11 + zone];
            let db = [10, 0, 21 + zone];
            self.subnet(
                random,
                zone,
                app,
                &[(Role::Balancer, 1), (Role::App, 6), (Role::Endpoint, 2), (Role::Idle, 1)],
            );
            self.subnet(random, zone, db, &[(Role::Database, 1)]);
        }
        // 0 and 4 stand in the database subnet range: nothing but the application may reach it.
        self.subnet(random, 1, [10, 0, 22], &[(Role::Planted(0), 1), (Role::Planted(4), 1)]);
        self.subnet(
            random,
            1,
            [10, 0, 12],
            &[(Role::Planted(1), 1), (Role::Planted(2), 1), (Role::Planted(3), 1)],
        );
    }

    fn subnet(&mut self, random: &mut Random, zone: u8, network: [u8; 3], contents: &[(Role, u8)]) {
        let existing = self
            .interfaces
            .iter()
            .find(|interface| interface.address.octets()[..3] == network)
            .map(|interface| interface.subnet.clone());
        let subnet = existing.unwrap_or_else(|| format!("subnet-0{}", random.hex(16)));
        for &(role, count) in contents {
            for _ in 0..count {
                let address = self.free_address(random, network);
                let managed =
                    matches!(role, Role::Balancer | Role::Nat | Role::Database | Role::Endpoint | Role::Idle)
                        || self.architecture == Architecture::B;
                let pods = if role == Role::App && self.architecture == Architecture::A { 6 } else { 0 };
                self.interfaces.push(Interface {
                    role,
                    address,
                    pods: Vec::new(),
                    id: format!("eni-0{}", random.hex(16)),
                    subnet: subnet.clone(),
                    instance: if managed { "-".to_owned() } else { format!("i-0{}", random.hex(16)) },
                    az: AZ_IDS[usize::from(zone)],
                });
                let index = self.interfaces.len() - 1;
                for _ in 0..pods {
                    let pod = self.free_address(random, [network[0], network[1], network[2] + 1]);
                    self.interfaces[index].pods.push(pod);
                }
            }
        }
    }

    fn free_address(&self, random: &mut Random, network: [u8; 3]) -> Ipv4Addr {
        loop {
            // AWS keeps the first four addresses and the last one of a subnet for itself.
            let address = Ipv4Addr::new(network[0], network[1], network[2], random.between(5, 250) as u8);
            let taken =
                |interface: &Interface| interface.address == address || interface.pods.contains(&address);
            if !self.interfaces.iter().any(taken) {
                return address;
            }
        }
    }
}

/// An address on the Internet that takes part in benign traffic.
pub fn benign_address(random: &mut Random) -> Ipv4Addr {
    const FIRST: [u8; 20] =
        [2, 5, 24, 31, 46, 62, 77, 78, 79, 80, 84, 87, 88, 93, 95, 109, 176, 178, 212, 217];
    Ipv4Addr::new(
        *random.pick(&FIRST),
        random.below(256) as u8,
        random.below(256) as u8,
        random.between(1, 254) as u8,
    )
}

/// An address on the Internet used by planted attacks only.
pub fn planted_address(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::new(
        *random.pick(&PLANTED_OCTETS),
        random.between(100, 250) as u8,
        random.below(256) as u8,
        random.between(1, 254) as u8,
    )
}

/// An address of the company's own offices (the ranges that may use SSH).
pub fn office_address(random: &mut Random) -> Ipv4Addr {
    if random.chance(0.8) {
        Ipv4Addr::new(203, 0, 113, random.between(1, 40) as u8)
    } else {
        Ipv4Addr::new(198, 51, 100, random.between(17, 30) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_builds_the_same_estate() {
        let (one, two) = (Estate::new(5, Architecture::A), Estate::new(5, Architecture::A));
        assert_eq!(one.vpc, two.vpc);
        assert_ne!(one.vpc, Estate::new(6, Architecture::A).vpc);
        assert!(one.accounts[2].id.starts_with('0'));
        assert!(one.accounts.iter().all(|account| account.id.len() == 12));
    }

    #[test]
    fn benign_and_planted_addresses_never_meet() {
        let mut random = Random::new(1, "addresses");
        for _ in 0..1000 {
            assert!(!PLANTED_OCTETS.contains(&benign_address(&mut random).octets()[0]));
            assert!(PLANTED_OCTETS.contains(&planted_address(&mut random).octets()[0]));
        }
    }

    #[test]
    fn every_interface_has_its_own_address() {
        for architecture in [Architecture::A, Architecture::B] {
            let estate = Estate::new(11, architecture);
            let mut all: Vec<_> =
                estate.interfaces.iter().flat_map(|i| i.pods.iter().chain([&i.address])).collect();
            let count = all.len();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), count);
            for role in 0..5 {
                assert_eq!(estate.with_role(Role::Planted(role)).len(), 1);
            }
        }
    }
}
