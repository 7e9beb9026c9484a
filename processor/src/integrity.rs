//! CloudTrail log file integrity: do the digest chains vouch for the log files that are here?
//!
//! CloudTrail writes one digest an hour for each trail, account and Region: the hashes of the log
//! files it delivered, the hash and signature of the digest before, and a signature over all that in
//! the metadata of the digest's own object. [`verify`] walks every chain below a place and gives each
//! object a verdict:
//!
//! * `verified`: a digest with a valid signature holds the hash that the object has.
//! * `invalid`: the object is not what was delivered: another hash, a bad signature, a moved digest.
//! * `missing`: a digest lists it, or the chain needs it, and it is gone.
//! * `unverified`: nothing vouches for it: no digest covers it yet, none lists it, or the public key
//!   of its digest is not known here.
//!
//! Promises: one verdict per object; a chain that has a hole, begins anew, or ends before its log files
//! do is a finding, never a smaller set of verified files that looks complete; memory grows with the
//! number of names, not with their content.
//!
//! Refuses: to call a digest verified whose signature was not checked, directly or through the signed
//! digest that follows it; to fetch public keys by itself (`aws cloudtrail list-public-keys` prints
//! them, see [`keys`]).
//!
//! The folder: [`digest`] (the file and what is signed), [`keys`], [`catalogue`] (where things lie,
//! also after a move), [`reading`] (bytes, metadata, hashes), [`chain`] (the walk), [`verdict`] (rows).

pub mod arriving;
pub mod catalogue;
pub mod chain;
pub mod digest;
pub mod keys;
pub mod reading;
pub mod verdict;
pub mod verify;

#[cfg(test)]
mod tests;
