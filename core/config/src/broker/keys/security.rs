//! Broker keys: TLS, SASL, delegation tokens and the encryption of stored passwords.

use super::reasons::{BUILT_IN, NO_TOKENS, PASSWORDS_UNUSED, SASL_UNUSED, TLS_UNUSED, TOKENS_UNUSED};
use crate::key::{Key, Valid, class, double, int, list, long, password, short, string};

pub(crate) static KEYS: &[Key] = &[
    long("connections.max.reauth.ms")
        .default("0")
        .medium()
        .no_effect(SASL_UNUSED)
        .doc("Milliseconds after which a SASL connection must log in again. 0: never."),
    string("security.providers")
        .valid(&[Valid::Classes(&[])])
        .no_effect(BUILT_IN)
        .doc("Java classes that bring security algorithms."),
    class("principal.builder.class")
        .valid(&[Valid::Classes(&["org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"])])
        .medium()
        .per_broker()
        .no_effect(BUILT_IN)
        .doc("Class that makes a connection's login its principal."),
    string("ssl.protocol")
        .default("TLSv1.3")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("TLS version that is asked for."),
    string("ssl.provider").medium().per_broker().no_effect(TLS_UNUSED).doc("Java security provider of TLS."),
    list("ssl.enabled.protocols")
        .default("TLSv1.2,TLSv1.3")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("TLS versions that are accepted."),
    string("ssl.keystore.type")
        .default("JKS")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("Format of the key store: JKS, PKCS12 or PEM."),
    string("ssl.keystore.location")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("File with the broker's certificate and key."),
    password("ssl.keystore.password").medium().per_broker().no_effect(TLS_UNUSED).doc("Password of the key store."),
    password("ssl.key.password")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("Password of the key in the key store."),
    password("ssl.keystore.key").medium().per_broker().no_effect(TLS_UNUSED).doc("The private key itself, as PEM."),
    password("ssl.keystore.certificate.chain")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("The certificate chain itself, as PEM."),
    string("ssl.truststore.type")
        .default("JKS")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("Format of the trust store: JKS, PKCS12 or PEM."),
    string("ssl.truststore.location")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("File with the certificates that are trusted."),
    password("ssl.truststore.password").medium().per_broker().no_effect(TLS_UNUSED).doc("Password of the trust store."),
    password("ssl.truststore.certificates")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("The trusted certificates themselves, as PEM."),
    string("ssl.keymanager.algorithm")
        .default("SunX509")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("Java's way to pick a key."),
    string("ssl.trustmanager.algorithm")
        .default("PKIX")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("Java's way to check a certificate."),
    string("ssl.endpoint.identification.algorithm")
        .default("https")
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("https checks that a server's certificate bears its host name; empty does not."),
    string("ssl.secure.random.implementation")
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("Java's source of random numbers for TLS."),
    string("ssl.client.auth")
        .default("none")
        .valid(&[Valid::OneOf(&["required", "requested", "none"])])
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("Whether clients show certificates: required, requested or none."),
    list("ssl.cipher.suites")
        .default("")
        .medium()
        .per_broker()
        .no_effect(TLS_UNUSED)
        .doc("Cipher suites that are accepted. Empty: all good ones."),
    string("ssl.principal.mapping.rules")
        .default("DEFAULT")
        .no_effect(TLS_UNUSED)
        .doc("Rules that make a certificate's name a short name."),
    class("ssl.engine.factory.class")
        .valid(&[Valid::Classes(&[])])
        .per_broker()
        .no_effect(BUILT_IN)
        .doc("Class that makes TLS engines."),
    string("sasl.mechanism.inter.broker.protocol")
        .default("GSSAPI")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("SASL mechanism between brokers."),
    password("sasl.jaas.config")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("JAAS login of a listener's mechanism, instead of a JAAS file."),
    list("sasl.enabled.mechanisms")
        .default("GSSAPI")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("SASL mechanisms that clients may use."),
    class("sasl.server.callback.handler.class")
        .valid(&[Valid::Classes(&[])])
        .medium()
        .no_effect(BUILT_IN)
        .doc("Class that checks SASL logins."),
    class("sasl.client.callback.handler.class")
        .valid(&[Valid::Classes(&[])])
        .medium()
        .no_effect(BUILT_IN)
        .doc("Class that answers a SASL server."),
    class("sasl.login.class").valid(&[Valid::Classes(&[])]).medium().no_effect(BUILT_IN).doc("Class that logs in."),
    class("sasl.login.callback.handler.class")
        .valid(&[Valid::Classes(&[])])
        .medium()
        .no_effect(BUILT_IN)
        .doc("Class that answers a login."),
    string("sasl.kerberos.service.name")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Kerberos name of the brokers."),
    string("sasl.kerberos.kinit.cmd")
        .default("/usr/bin/kinit")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Program that renews Kerberos tickets."),
    double("sasl.kerberos.ticket.renew.window.factor")
        .default("0.8")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Share of a ticket's life after which it is renewed."),
    double("sasl.kerberos.ticket.renew.jitter")
        .default("0.05")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Random share that is added to it."),
    long("sasl.kerberos.min.time.before.relogin")
        .default("60000")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Milliseconds between two Kerberos logins at least."),
    list("sasl.kerberos.principal.to.local.rules")
        .default("DEFAULT")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Rules that make a Kerberos name a short name."),
    double("sasl.login.refresh.window.factor")
        .default("0.8")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Share of a token's life after which it is renewed."),
    double("sasl.login.refresh.window.jitter")
        .default("0.05")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Random share that is added to it."),
    short("sasl.login.refresh.min.period.seconds")
        .default("60")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Seconds that a token is used at least before it is renewed."),
    short("sasl.login.refresh.buffer.seconds")
        .default("300")
        .medium()
        .per_broker()
        .no_effect(SASL_UNUSED)
        .doc("Seconds before a token's end by which it is renewed."),
    password("delegation.token.master.key")
        .medium()
        .refused(NO_TOKENS)
        .doc("Secret from which delegation tokens are made; the same on all brokers. Without it there are none."),
    long("delegation.token.max.lifetime.ms")
        .default("604800000")
        .valid(&[Valid::AtLeast("1")])
        .medium()
        .no_effect(TOKENS_UNUSED)
        .doc("Milliseconds after which a delegation token can no longer be renewed."),
    long("delegation.token.expiry.time.ms")
        .default("86400000")
        .valid(&[Valid::AtLeast("1")])
        .medium()
        .no_effect(TOKENS_UNUSED)
        .doc("Milliseconds until a delegation token must be renewed."),
    long("delegation.token.expiry.check.interval.ms")
        .default("3600000")
        .valid(&[Valid::AtLeast("1")])
        .no_effect(TOKENS_UNUSED)
        .doc("Milliseconds between two looks for expired delegation tokens."),
    password("password.encoder.secret")
        .medium()
        .no_effect(PASSWORDS_UNUSED)
        .doc("Secret by which passwords are encrypted before they are kept in ZooKeeper."),
    password("password.encoder.old.secret")
        .medium()
        .no_effect(PASSWORDS_UNUSED)
        .doc("The secret before this one, to read what it encrypted."),
    string("password.encoder.keyfactory.algorithm")
        .no_effect(PASSWORDS_UNUSED)
        .doc("How the key is made from the secret. Default: PBKDF2WithHmacSHA512."),
    string("password.encoder.cipher.algorithm")
        .default("AES/CBC/PKCS5Padding")
        .no_effect(PASSWORDS_UNUSED)
        .doc("Cipher of these passwords."),
    int("password.encoder.key.length")
        .default("128")
        .valid(&[Valid::AtLeast("8")])
        .no_effect(PASSWORDS_UNUSED)
        .doc("Bits of the key."),
    int("password.encoder.iterations")
        .default("4096")
        .valid(&[Valid::AtLeast("1024")])
        .no_effect(PASSWORDS_UNUSED)
        .doc("Rounds by which the key is made."),
];
