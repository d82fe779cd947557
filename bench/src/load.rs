//! The works S, L and M: every contender in turn, as often as asked.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::check::{self, Content, TABLE};
use crate::contender::Contender;
use crate::figures::Sample;
use crate::measure::{self, Measured};
use crate::stack::Stack;
use crate::work::{Form, Object, Work};

/// A work with everything that is made of it once.
pub struct Prepared {
    work: Work,
    messages: Vec<Object>,
    lines: Vec<Object>,
    csv: PathBuf,
    no_rows: PathBuf,
    expected: Content,
    /// Where logs go.
    logs: PathBuf,
}

impl Prepared {
    /// Writes the work in all forms, and has Postgres say what is in it.
    ///
    /// # Errors
    /// When Postgres or the disk refuses.
    pub async fn new(stack: &Stack, work: Work, logs: &Path) -> Result<Self> {
        let csv = stack.folder.join(format!("{}.csv", work.name));
        let no_rows = stack.folder.join("no_rows.csv");
        let text = work.csv();
        std::fs::write(&csv, &text)?;
        std::fs::write(&no_rows, "")?;
        let database = stack.postgres.database()?;
        let mut connection = check::connect(&database).await?;
        check::create(&mut connection, TABLE, &work.table).await?;
        check::copy(&mut connection, TABLE, &work.table, &text).await?;
        let expected = check::content(&mut connection, TABLE, &work.table.columns).await?;
        drop(connection);
        stack.remove(&database).await?;
        Ok(Self {
            messages: work.objects(Form::Messages)?,
            lines: work.objects(Form::Lines)?,
            work,
            csv,
            no_rows,
            expected,
            logs: logs.to_owned(),
        })
    }

    /// The work.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Its objects in one form.
    pub fn objects(&self, form: Form) -> &[Object] {
        match form {
            Form::Messages => &self.messages,
            Form::Lines => &self.lines,
        }
    }

    /// One contender, once, on a new database: with nothing in the bucket (`empty`), or with all of the work.
    ///
    /// # Errors
    /// When the bench itself fails; a contender that does is a sample that says so.
    pub async fn run(
        &self,
        stack: &Stack,
        contender: Contender,
        run: usize,
        empty: bool,
    ) -> Result<Sample> {
        let database = stack.postgres.database()?;
        let folder = stack.folder.join(format!("run-{}", database.name()));
        std::fs::create_dir(&folder)?;
        let table = &self.work.table;
        contender.prepare(stack, &database, table, &folder).await?;
        let csv = if empty { &self.no_rows } else { &self.csv };
        let mut command = contender.command(stack, &database, table, &folder, csv)?;
        if !empty && contender.uses_bucket() {
            stack.drop_box.fill(self.objects(contender.reads)).await?;
        }
        stack.checkpoint().await?;
        let phase = if empty {
            "empty".to_owned()
        } else {
            run.to_string()
        };
        let log = self
            .logs
            .join(format!("{}-{}-{phase}.log", self.work.name, contender.name));
        let measured = measure::run(&mut command, &log, &stack.servers()?)?;
        let wrong = if empty {
            (!measured.ended_well())
                .then(|| format!("ended with {:?} on an empty inbox", measured.code))
        } else {
            self.wrong(stack, contender, &database, &measured).await?
        };
        stack.drop_box.clear().await?;
        stack.remove(&database).await?;
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("can't remove {}", folder.display()))?;
        Ok(Sample {
            work: self.work.name.to_owned(),
            contender: contender.name.to_owned(),
            source: contender.source().to_owned(),
            run,
            files: if empty { 0 } else { self.work.results() },
            empty,
            seconds: measured.wall.as_secs_f64(),
            peak: Some(measured.peak),
            own_cpu: measured.own,
            postgres_cpu: measured.servers[0],
            s3_cpu: measured.servers[1],
            wrong,
        })
    }

    /// What is wrong: the exit code, the rows, or what is left in the bucket.
    async fn wrong(
        &self,
        stack: &Stack,
        contender: Contender,
        database: &nightdrop_compose::Database,
        measured: &Measured,
    ) -> Result<Option<String>> {
        if !measured.ended_well() {
            return Ok(Some(format!("ended with {:?}", measured.code)));
        }
        let mut connection = check::connect(database).await?;
        let columns = &self.work.table.columns;
        match check::difference(&mut connection, TABLE, columns, &self.expected).await {
            Ok(None) => {}
            Ok(wrong) => return Ok(wrong),
            Err(error) => return Ok(Some(format!("{error:#}"))),
        }
        let left = if contender.uses_bucket() {
            stack.drop_box.list().await?.len()
        } else {
            0
        };
        Ok((left > 0).then(|| format!("{left} objects left in the bucket")))
    }
}
