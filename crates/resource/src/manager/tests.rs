//! The manager against another manager, against a model of a 3.0.6 peer, and against chance.

mod canonical;
mod conflict;
mod evidence;
mod failback;
mod left;
mod legacy;
mod lost;
mod maintenance;
mod offers;
mod recovery;
mod retire;
mod scenarios;
mod unheard;
mod walk;
mod warm;
mod world;
