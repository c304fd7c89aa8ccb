//! The addresses behind a binding.

use serde::{Deserialize, Serialize};

use super::UNIT_ADDRESS;

/// What `network-get` shows for one binding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The devices with their addresses.
    pub devices: Vec<Device>,
    /// The addresses other applications shall use; empty while a load balancer has none.
    pub ingress: Vec<String>,
    /// The networks that traffic of the unit comes from.
    pub egress: Vec<String>,
}

/// One network device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// For example `eth0`; empty on Kubernetes.
    pub name: String,
    /// The hardware address; empty on Kubernetes.
    pub mac: String,
    /// The addresses.
    pub addresses: Vec<Address>,
}

/// One address of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The host name; set by Juju 4.1 on Kubernetes, together with an equal `value`.
    pub hostname: String,
    /// An IP address, or a host name.
    pub value: String,
    /// The network; empty on Kubernetes.
    pub cidr: String,
}

impl Network {
    /// One device with one address, which is also the way in and out.
    pub fn machine(address: &str, cidr: &str) -> Self {
        Self {
            devices: vec![Device {
                name: "eth0".into(),
                mac: "00:16:3e:00:00:0a".into(),
                addresses: vec![Address { value: address.into(), cidr: cidr.into(), ..Address::default() }],
            }],
            ingress: vec![address.into()],
            egress: vec![format!("{address}/32")],
        }
    }

    /// A pod behind a service address.
    pub fn pod(address: &str, service: &str) -> Self {
        Self {
            devices: vec![Device {
                addresses: vec![Address { value: address.into(), ..Address::default() }],
                ..Device::default()
            }],
            ingress: vec![service.into()],
            egress: vec![format!("{service}/32")],
        }
    }

    /// The network of every binding of a machine, unless a scenario says otherwise.
    pub fn usual_machine() -> Self {
        Self::machine(UNIT_ADDRESS, "192.0.2.0/24")
    }

    /// The network of every binding of a pod, unless a scenario says otherwise.
    pub fn usual_pod() -> Self {
        Self::pod("10.1.0.10", "10.152.183.10")
    }

    /// The service has no address yet, as while a load balancer is pending.
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.ingress.clear();
        self.egress.clear();
        self
    }

    /// Puts a device with the pod's name first, as Juju 4.1 does on Kubernetes.
    #[must_use]
    pub fn with_pod_name(mut self, name: &str) -> Self {
        let address = Address { hostname: name.into(), value: name.into(), cidr: String::new() };
        self.devices.insert(0, Device { addresses: vec![address], ..Device::default() });
        self
    }
}
