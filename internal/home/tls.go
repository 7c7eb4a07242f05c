package home

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// certificateLife is how long a certificate that we make is valid. Clients pin it, so its end would only be an outage
// with a date; who wants short-lived ones puts their own in its place.
const certificateLife = 20 * 365 * 24 * time.Hour

// TLS returns what the gRPC server needs to speak TLS, or nil if its address is one for plaintext. It makes a
// self-signed certificate if the home has none; who has a better one puts it into tls.crt and tls.key. The error is
// [ErrKey] if the files do not fit each other or others can read the key.
func (h *Home) TLS() (*tls.Config, error) {
	return h.tls(h.Config.GRPC.NeedsTLS())
}

// HTTPTLS is TLS for the server of HTTP: the same certificate.
func (h *Home) HTTPTLS() (*tls.Config, error) { return h.tls(h.Config.HTTP.NeedsTLS()) }

func (h *Home) tls(needed bool) (*tls.Config, error) {
	if !needed {
		return nil, nil
	}
	_, err := os.Lstat(h.Dir.Certificate())
	if errors.Is(err, fs.ErrNotExist) {
		err = h.makeCertificate()
	}
	if err != nil {
		return nil, fmt.Errorf("tls certificate: %w", err)
	}
	info, err := os.Stat(h.Dir.PrivateKey())
	if err != nil {
		return nil, fmt.Errorf("tls certificate: %w", missingPart(err))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("tls certificate: %w: %s has mode %04o; run: chmod 600 %[2]s", ErrKey, h.Dir.PrivateKey(), mode)
	}
	pair, err := tls.LoadX509KeyPair(h.Dir.Certificate(), h.Dir.PrivateKey())
	if err != nil {
		return nil, fmt.Errorf("tls certificate: %w: %w", ErrKey, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}, nil
}

// makeCertificate writes the key first and the certificate last: after a crash in between there is a key without a
// certificate, which nobody has seen, and the next call replaces it.
func (h *Home) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	certificate, err := h.selfSign(key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := replaceFile(h.Dir.PrivateKey(), "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	return replaceFile(h.Dir.Certificate(), "CERTIFICATE", certificate, 0o644)
}

// replaceFile puts a PEM block at path in one step.
func replaceFile(path, kind string, der []byte, mode fs.FileMode) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := WriteFile(temporary, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func (h *Home) selfSign(key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	certificate := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: h.Config.Name, Organization: []string{h.Config.Org}},
		NotBefore:             now.Add(-24 * time.Hour), // for clients whose clocks are behind
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range h.certificateNames() {
		if ip := net.ParseIP(name); ip != nil {
			certificate.IPAddresses = append(certificate.IPAddresses, ip)
		} else {
			certificate.DNSNames = append(certificate.DNSNames, name)
		}
	}
	return x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
}

// certificateNames returns the names and addresses under which clients may find the server.
func (h *Home) certificateNames() []string {
	found := append([]string{"localhost", "127.0.0.1", "::1", h.Config.Name}, h.Config.GRPC.TLSNames...)
	if host, err := os.Hostname(); err == nil && host != "" {
		found = append(found, host)
	}
	for _, listen := range []string{h.Config.GRPC.Listen, h.Config.HTTP.Listen} {
		if at, err := netip.ParseAddrPort(listen); err == nil && !at.Addr().IsUnspecified() {
			found = append(found, at.Addr().String())
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
