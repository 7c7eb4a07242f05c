package signer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// certificate returns a certificate that says nothing but the key. The other side looks at that alone: names and dates would
// be one more thing that can be wrong on the day a validator has to come back.
func certificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: hex.EncodeToString(key.Public().(ed25519.PublicKey))},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: no end
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

var errStranger = errors.New("the other side's key is not one of those expected")

// peerKey returns the Ed25519 key that the other side of a connection has shown to have.
func peerKey(state tls.ConnectionState) (ed25519.PublicKey, error) {
	if len(state.PeerCertificates) != 1 {
		return nil, fmt.Errorf("%w: it sent %d certificates", errStranger, len(state.PeerCertificates))
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: it is not an Ed25519 key", errStranger)
	}
	return key, nil
}

// expect refuses a connection in its handshake unless the other side has one of the keys that expected returns.
func expect(expected func() ([][]byte, error)) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		key, err := peerKey(state)
		if err != nil {
			return err
		}
		known, err := expected()
		if err != nil {
			return err
		}
		if !oneOf(known, key) {
			return fmt.Errorf("%w: %x", errStranger, []byte(key))
		}
		return nil
	}
}

// oneOf compares with every key, in time that does not depend on which one it is.
func oneOf(known [][]byte, key []byte) bool {
	found := 0
	for _, k := range known {
		found |= subtle.ConstantTimeCompare(k, key)
	}
	return found == 1
}

// tlsConfig secures one side. The usual verification is replaced, not left out: TLS 1.3 proves that the other side has the key
// in its certificate, and expect compares that key. Nothing is resumed, so that every connection is checked.
func tlsConfig(key ed25519.PrivateKey, expected func() ([][]byte, error)) (*tls.Config, error) {
	own, err := certificate(bytes.Clone(key))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{own},
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // VerifyConnection does it
		VerifyConnection:       expect(expected),
		SessionTicketsDisabled: true,
	}, nil
}
