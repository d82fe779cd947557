//! What this process knows of report tables: a result that looks like the one before it needs no look
//! at the catalog. Whatever goes wrong with a job makes it forget that job's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nightdrop_schema::{Column, Header, Job, Mode, Producer};

use crate::consumer::Consumer;
use crate::destination::{self, Destination};

/// The last result's shape and table for each job.
#[derive(Debug, Default)]
pub struct Destinations(Mutex<HashMap<(Producer, Job), (Header, Destination)>>);

impl Destinations {
    /// The table for this result: the known one if the result looks like the last, else settled anew.
    /// `pending` says that one before it is about to be loaded.
    ///
    /// # Errors
    /// As [`destination::settle`].
    pub async fn find(
        &self,
        consumer: &Consumer,
        producer: &Producer,
        job: &Job,
        header: &Header,
        pending: bool,
    ) -> Result<Destination, destination::Error> {
        let whose = (producer.clone(), job.clone());
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&whose)
            .cloned();
        if let Some((last, destination)) = known
            && alike(&last, header)
        {
            return Ok(destination);
        }
        let config = &consumer.config;
        let destination =
            destination::settle(consumer.pool(), producer, job, header, pending, config).await?;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(whose, (undescribed(header), destination.clone()));
        Ok(destination)
    }

    /// Asks Postgres at the next result of this job.
    pub fn forget(&self, producer: &Producer, job: &Job) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(producer.clone(), job.clone()));
    }
}

/// What is compared of a header: descriptions may be long, and are kept for as long as the process runs.
fn undescribed(header: &Header) -> Header {
    let columns = header.columns.iter().map(|column| Column {
        name: column.name.clone(),
        ty: column.ty,
        description: None,
        nullable: column.nullable,
    });
    Header {
        mode: header.mode.clone(),
        columns: columns.collect(),
        parameters: None,
        next_by: header.next_by,
    }
}

fn alike(one: &Header, other: &Header) -> bool {
    let same_mode = match (&one.mode, &other.mode) {
        (Mode::Append, Mode::Append) | (Mode::Replace { .. }, Mode::Replace { .. }) => true,
        (Mode::Upsert { primary_key: one }, Mode::Upsert { primary_key: other }) => one == other,
        _ => false,
    };
    same_mode
        && one.columns.len() == other.columns.len()
        && one
            .columns
            .iter()
            .zip(&other.columns)
            .all(|(a, b)| a.name == b.name && a.ty == b.ty)
}
