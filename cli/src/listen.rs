//! Binds the ports of the HTTP roles, all of them before any is served.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use tokio::net::TcpListener;

use crate::args::Role;
use crate::settings::Settings;

/// Bound sockets, by role.
pub struct Sockets(Vec<(api::Role, TcpListener, SocketAddr)>);

impl Sockets {
    /// Binds the HTTP roles among `roles` on every address of `hosts`; the first one must work, a further one
    /// may be missing on this machine.
    pub async fn bind(
        settings: &Settings,
        roles: &[Role],
        hosts: &[IpAddr],
    ) -> anyhow::Result<Self> {
        let mut sockets = Vec::new();
        for role in roles {
            let Some((role, port, variable)) = http_role(settings, *role) else {
                continue;
            };
            let mut port = port;
            for (rank, host) in hosts.iter().enumerate() {
                match TcpListener::bind((*host, port)).await {
                    Ok(listener) => {
                        let address = listener.local_addr()?;
                        // A free port, once found, is the same on the other addresses.
                        port = address.port();
                        sockets.push((role, listener, address));
                    }
                    Err(error) if rank == 0 => {
                        return Err(error).with_context(|| {
                            format!("{host}:{port} cannot be listened on (set {variable}, or stop what runs there)")
                        });
                    }
                    Err(error) => tracing::debug!(%host, port, %error, "not listened on"),
                }
            }
        }
        Ok(Self(sockets))
    }

    /// Name and address of each port, first addresses only.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut addresses: Vec<(&'static str, SocketAddr)> = Vec::new();
        for (role, _, address) in &self.0 {
            if addresses.iter().all(|(name, _)| *name != role_name(*role)) {
                addresses.push((role_name(*role), *address));
            }
        }
        addresses
    }

    /// The sockets.
    pub fn into_inner(self) -> Vec<(api::Role, TcpListener)> {
        self.0
            .into_iter()
            .map(|(role, listener, _)| (role, listener))
            .collect()
    }
}

fn http_role(settings: &Settings, role: Role) -> Option<(api::Role, u16, &'static str)> {
    match role {
        Role::Book => Some((
            api::Role::Book,
            settings.listen_port_book,
            "LISTEN_PORT_BOOK",
        )),
        Role::Space => Some((
            api::Role::Space,
            settings.listen_port_space,
            "LISTEN_PORT_SPACE",
        )),
        Role::Payment => Some((
            api::Role::Payment,
            settings.listen_port_payment,
            "LISTEN_PORT_PAYMENT",
        )),
        Role::Mypage => Some((
            api::Role::Mypage,
            settings.listen_port_mypage,
            "LISTEN_PORT_MYPAGE",
        )),
        Role::Gateway => Some((
            api::Role::Gateway,
            settings.listen_port_gateway,
            "LISTEN_PORT_GATEWAY",
        )),
        Role::Processes | Role::Projections => None,
    }
}

fn role_name(role: api::Role) -> &'static str {
    match role {
        api::Role::Book => "book",
        api::Role::Space => "space",
        api::Role::Payment => "payment",
        api::Role::Mypage => "mypage",
        api::Role::Gateway => "gateway",
    }
}
