//! The NetworkPolicy of a run's pod: its program reaches no metadata service of the node, and
//! nobody but the operator its guard's control port. Pure. What it cannot do is in
//! docs/concepts/security.md.

use dm_api::status::RunRecord;
use dm_api::target::Credentials;
use dm_contract::plan::CONTROL_PORT;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource as _;

use crate::identified::{Identified, Migration};
use crate::objects::parts;

/// Every address, and of it what is the node's own: link-local, and AWS's metadata service over
/// IPv6 (Amazon EC2 User Guide, "Access instance metadata").
const EVERYWHERE: [(&str, &[&str]); 2] =
    [("0.0.0.0/0", &["169.254.0.0/16"]), ("::/0", &["fe80::/10", "fd00:ec2::/32"])];

/// Where a node answers names on a link-local address: node-local caches and a VPC's own resolver.
const LINK_LOCAL: &str = "169.254.0.0/16";

/// EKS's agent that hands out the credentials of a ServiceAccount's role (Amazon EKS User Guide,
/// "Pod Identity"). It wants a token that only the guard's container has.
const ROLE_AGENTS: [&str; 2] = ["169.254.170.23/32", "fd00:ec2::23/128"];

/// The policy of a run whose Job is there, which owns it.
pub fn build(
    migration: &Migration,
    record: &RunRecord,
    job: &Identified<Job>,
    credentials: &Credentials,
    operator_namespace: &str,
) -> NetworkPolicy {
    let labels = parts::labels(migration, record);
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(record.job.clone()),
            namespace: migration.metadata.namespace.clone(),
            labels: Some(labels.clone()),
            annotations: Some(parts::annotations(migration, record)),
            owner_references: job.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(
                labels.into_iter().filter(|(name, _)| name.starts_with(dm_api::GROUP)),
            )),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(vec![NetworkPolicyPeer {
                    namespace_selector: Some(selector([(
                        "kubernetes.io/metadata.name".to_owned(),
                        operator_namespace.to_owned(),
                    )])),
                    ..NetworkPolicyPeer::default()
                }]),
                ports: Some(vec![port("TCP", CONTROL_PORT)]),
            }]),
            egress: Some(egress(credentials.service_account.is_some())),
        }),
    }
}

/// The policy of the pods of a Job that notes in the archive how a run ended, which owns it. Nobody
/// reaches them.
pub fn of_recorder(recorder: &Job) -> NetworkPolicy {
    let metadata = &recorder.metadata;
    let labels = metadata.labels.clone().unwrap_or_default();
    let pod = recorder.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let has_role = pod.is_some_and(|pod| pod.service_account_name.is_some());
    NetworkPolicy {
        metadata: ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            labels: Some(labels.clone()),
            annotations: metadata.annotations.clone(),
            owner_references: recorder.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(
                labels.into_iter().filter(|(name, _)| name.starts_with(dm_api::GROUP)),
            )),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: None,
            egress: Some(egress(has_role)),
        }),
    }
}

/// Returns what a pod may reach; one whose credentials are its ServiceAccount's role, also the
/// agent that hands them out.
pub fn egress(has_role: bool) -> Vec<NetworkPolicyEgressRule> {
    let rule = |to: Vec<NetworkPolicyPeer>, ports: Option<Vec<NetworkPolicyPort>>| {
        NetworkPolicyEgressRule { to: Some(to), ports }
    };
    // Some network plugins do not count pods among addresses.
    let pods = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    let anywhere = EVERYWHERE.iter().map(|(cidr, except)| block(cidr, except));
    let names = vec![port("UDP", 53), port("TCP", 53)];
    let mut rules = vec![
        rule(anywhere.chain([pods]).collect(), None),
        rule(vec![block(LINK_LOCAL, &[])], Some(names)),
    ];
    if has_role {
        let agents = ROLE_AGENTS.iter().map(|cidr| block(cidr, &[])).collect();
        rules.push(rule(agents, Some(vec![port("TCP", 80)])));
    }
    rules
}

fn block(cidr: &str, except: &[&str]) -> NetworkPolicyPeer {
    let except: Vec<String> = except.iter().map(|cidr| (*cidr).to_owned()).collect();
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: (!except.is_empty()).then_some(except),
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn port(protocol: &str, port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.into()),
        port: Some(IntOrString::Int(port.into())),
        end_port: None,
    }
}

/// Returns a selector of these labels.
pub fn selector(labels: impl IntoIterator<Item = (String, String)>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels.into_iter().collect()), ..LabelSelector::default() }
}
